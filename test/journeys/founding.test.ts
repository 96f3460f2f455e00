/** What `init` makes where several people sign what tags mean. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, documentOf, tagseal } from '../support/cli.ts'
import { startServer } from '../support/server.ts'

const REPO = 'registry.example.com/team/app'

async function people(t: Test) {
  const server = await startServer()
  t.teardown(server.remove)
  t.teardown(server.stop)
  const homes = t.testdir({ alice: {}, carol: {} })
  const as = (name: 'alice' | 'carol') => (args: readonly string[]) =>
    tagseal(args, { env: { TAGSEAL_HOME: join(homes, name), TAGSEAL_SERVER: server.url, HOME: homes } })
  const [alice, carol] = [as('alice'), as('carol')]
  const make = async (run: typeof alice, name: string) =>
    (await run(['key', 'generate', '--no-passphrase', '--name', name])).stdout.trim()
  const [a, b, c] = [await make(alice, 'a'), await make(alice, 'b.example'), await make(carol, 'c')]
  const file = join(homes, 'carol.pub.pem')
  await writeFile(file, (await carol(['key', 'export', c])).stdout)
  return { alice, a, b, c, file }
}

await t.test('a repository is founded', async (t) => {
  const { alice, a, b, c, file } = await people(t)
  const found = (...more: string[]) => alice(['init', REPO, '--no-passphrase', '--json', ...more])
  const three = ['--targets-key', a, '--targets-key', 'b.example', '--targets-key', file]
  const REFUSED: Record<string, { args: readonly string[]; code: string; exit: number }> = {
    'with a threshold above the number of its keys': {
      args: [...three, '--targets-threshold', '4'],
      code: 'USAGE',
      exit: 2,
    },
    'with a threshold and no keys': { args: ['--targets-threshold', '2'], code: 'USAGE', exit: 2 },
    'with one key that counts twice': {
      args: ['--targets-key', a, '--targets-key', 'a', '--targets-threshold', '2'],
      code: 'USAGE',
      exit: 2,
    },
    'with a first file that too few here can sign': {
      args: [...three, '--targets-threshold', '3'],
      code: 'NO_SIGNING_KEY',
      exit: 1,
    },
    'with a key that is nowhere': { args: ['--targets-key', 'nobody'], code: 'KEY_NOT_FOUND', exit: 2 },
    'with a threshold that notary does not know': {
      args: [...three, '--targets-threshold', '2', '--dialect', 'notary'],
      code: 'USAGE',
      exit: 2,
    },
  }
  for (const [name, { args, code, exit }] of Object.entries(REFUSED)) {
    await t.test(`not ${name}`, async (t) => {
      const ran = await found(...args)
      t.same([ran.code, codeOf(ran)], [exit, code], ran.stderr)
    })
  }
  await t.test('not one of these made a key', async (t) => {
    const { keys } = documentOf(await alice(['key', 'list', '--json'])) as { keys: unknown[] }
    t.equal(keys.length, 2)
  })
  await t.test('with two of three targets keys, one of them known by its public half alone', async (t) => {
    const ran = await found(...three, '--targets-threshold', '2')
    t.match([ran.code, documentOf(ran)], [0, { targets: { keys: [a, b, c], threshold: 2 } }], ran.stderr)
    const { roles } = documentOf(await alice(['status', REPO, '--json'])) as { roles: { role: string }[] }
    t.match(
      roles.find(({ role }) => role === 'targets'),
      { version: 1, threshold: 2, keys: [a, b, c] },
    )
  })
})
