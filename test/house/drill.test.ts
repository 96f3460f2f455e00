/** The drill is played, and the table in SECURITY.md is what came out of it. */
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { documentOf, tagseal } from '../support/cli.ts'
import { founded, REPOSITORY } from '../support/incident-lab.ts'

const SECURITY = new URL('../../SECURITY.md', import.meta.url)

await t.test('what SECURITY.md says of each theft is what was seen', async (t) => {
  const ran = await tagseal(['drill'], { env: { HOME: t.testdir({}), TAGSEAL_HOME: t.testdirName } })
  t.equal(ran.code, 0, ran.stderr)
  const text = await readFile(SECURITY, 'utf8')
  const table = /^\| who takes \|.*\n(?:\|.*\n)+/m.exec(text)?.[0]
  t.equal(table, ran.stdout)
})

await t.test('a repository of Notary is drilled as one of Notary', async (t) => {
  const lab = await founded(t, { init: () => ['--dialect', 'notary'] })
  const env = { HOME: lab.owner.home, TAGSEAL_HOME: lab.owner.home, TAGSEAL_SERVER: lab.url }
  const ran = await tagseal(['drill', REPOSITORY, '--json'], { env })
  t.match(
    [ran.code, documentOf(ran)],
    [
      0,
      {
        repository: REPOSITORY,
        rows: [
          { stolen: 'nothing', kept: '1 day' },
          { stolen: 'the timestamp key', kept: '1095 days' },
          { stolen: 'the snapshot key', kept: '-' },
          { stolen: 'timestamp and snapshot keys', kept: '1095 days' },
          { stolen: "a team's key", kept: '1 day' },
          { stolen: 'the targets key', kept: '1 day' },
          { stolen: 'root keys, fewer than the threshold' },
          { stolen: 'root keys to the threshold', kept: 'until it has a new pin' },
        ],
      },
    ],
    ran.stderr,
  )
})

const WRONG: Readonly<
  Record<string, { readonly args: readonly string[]; readonly code: string; readonly exit: number }>
> = {
  'a server that does not start': { args: ['--server-program', '/bin/false'], code: 'DRILL_FAILED', exit: 3 },
  'a server that is not there': {
    args: ['--server-program', '/nowhere/tagseal-server'],
    code: 'DRILL_FAILED',
    exit: 3,
  },
  'two repositories': { args: [REPOSITORY, REPOSITORY], code: 'USAGE', exit: 2 },
}
await t.test('no drill is played', async (t) => {
  const lab = await founded(t)
  for (const [name, { args, code, exit }] of Object.entries(WRONG)) {
    await t.test(`against ${name}`, async (t) => {
      const ran = await lab.owner.run(['drill', ...args, '--json'])
      t.match([ran.code, documentOf(ran)], [exit, { error: { code } }], ran.stderr)
    })
  }
})
