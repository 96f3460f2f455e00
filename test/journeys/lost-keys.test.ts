/** A key of every kind is lost, not stolen: the refusal names the next command, and that command is enough. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { roleName } from '../../tuf/index.ts'
import { digestOf, founded, REPOSITORY, succeeds, verdictOn } from '../support/incident-lab.ts'
import type { Founded, Person } from '../support/incident-lab.ts'

const GOOD = digestOf('good')

await t.test('the targets key is lost', async (t) => {
  const lab = await founded(t)
  await removeKey(lab.owner, 'targets ')
  const refused = await lab.owner.run(['delegation', 'remove', REPOSITORY, 'nobody'])
  t.equal(refused.code, 2)
  await t.rejects(lab.owner.sign({ '2.0': 'x' }), {
    code: 'NO_SIGNING_KEY',
    hint: hintOf('targets', 'with the root keys'),
  })
  await mendedBy(t, lab, ['rotate', REPOSITORY, 'targets'])
})

await t.test('one of two targets keys is lost, and the other stays', async (t) => {
  const lab = await founded(t)
  const { owner } = lab
  const [first, second] = [await made(owner, 'first'), await made(owner, 'second')]
  await succeeds(owner, ['rotate', REPOSITORY, 'targets', '--key', first, '--key', second])
  await removeKey(owner, 'second')
  const vague = await owner.run(['rotate', REPOSITORY, 'targets'])
  t.equal(vague.code, 2)
  t.match(vague.stderr, `--lost ID`)
  await mendedBy(t, lab, ['rotate', REPOSITORY, 'targets', '--lost', second])
  const wrong = await owner.run(['rotate', REPOSITORY, 'targets', '--lost', second])
  t.match([wrong.code, wrong.stderr], [2, /KEY_NOT_IN_ROLE/])
})

await t.test("a team's key is lost", async (t) => {
  const lab = await founded(t)
  const { owner } = lab
  const key = await made(owner, 'team')
  await writeFile(join(owner.home, 'team.pem'), await succeeds(owner, ['key', 'export', key]))
  await succeeds(owner, [
    'delegation',
    'add',
    REPOSITORY,
    'team',
    '--key',
    join(owner.home, 'team.pem'),
    '--path',
    'x-*',
  ])
  await owner.sign({ 'x-1': 'good' }, { role: roleName('team') })
  await removeKey(owner, 'team')
  const signing = owner.sign({ 'x-2': 'x' }, { role: roleName('team') })
  await t.rejects(signing, { code: 'NO_SIGNING_KEY', hint: /tagseal rotate \S+ team/ })
  await mendedBy(t, lab, ['rotate', REPOSITORY, 'team'])
  t.equal(await verdictOn(await lab.consumer(), 'x-1'), GOOD)
})

await t.test('a root key below the threshold is lost', async (t) => {
  const keys: string[] = []
  const lab = await founded(t, {
    init: async (owner) => {
      for (const name of ['alice', 'bob', 'carol']) keys.push(await made(owner, name))
      return [...keys.flatMap((key) => ['--root-key', key]), '--root-threshold', '2']
    },
  })
  await removeKey(lab.owner, 'alice')
  await mendedBy(t, lab, ['rotate', REPOSITORY, 'root', '--lost', keys[0] ?? ''])
  await removeKey(lab.owner, 'bob')
  await removeKey(lab.owner, 'carol')
  const ran = await lab.owner.run(['rotate', REPOSITORY, 'root', '--lost', keys[2] ?? ''])
  t.match([ran.code, ran.stderr], [1, /NO_SIGNING_KEY[^]*^hint: .*root --lost ID/m])
})

for (const [what, roles] of Object.entries({
  'timestamp key is': ['timestamp'],
  'snapshot key is': ['snapshot'],
  'two keys are': ['timestamp', 'snapshot'],
} as const)) {
  await t.test(`the server's ${what} lost`, async (t) => {
    const lab = await founded(t)
    const { keys, metadata } = lab.server.services.deps.store
    const lost = (await Promise.all(roles.map(async (role) => await keys.list(REPOSITORY, role)))).flat()
    const { revision = 0 } = (await metadata.state(REPOSITORY)) ?? {}
    const retire = lost.map(({ keyid }) => keyid)
    const forgotten = { repository: REPOSITORY, base: revision, at: lab.clock.now, pruneBefore: 0, files: [], retire }
    t.same(await metadata.publish([forgotten]), [true])
    const hint = /tagseal rotate \S+\/\S+ timestamp --compromised/
    await t.rejects(lab.owner.sign({ '2.0': 'x' }), { code: 'SERVER_FAILED', hint })
    await mendedBy(t, lab, ['rotate', REPOSITORY, 'timestamp', '--compromised'])
  })
}

async function mendedBy(t: Tap, lab: Founded, command: readonly string[]): Promise<void> {
  const [before, after] = [await lab.consumer(), await lab.consumer()]
  t.equal(await verdictOn(before, '1.0'), GOOD)
  await succeeds(lab.owner, [...command, '--no-passphrase'])
  await lab.owner.sign({ '2.0': 'two' })
  for (const person of [before, after]) {
    t.equal(await verdictOn(person, '1.0'), GOOD)
    t.equal(await verdictOn(person, '2.0'), digestOf('two'))
  }
}
type Tap = Pick<typeof t, 'equal'>

function hintOf(role: string, by: string): RegExp {
  return new RegExp(`if it is lost: tagseal rotate ${REPOSITORY} ${role}, ${by}`)
}

async function made(owner: Person, name: string): Promise<string> {
  return (await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', name])).trim()
}

async function removeKey(person: Person, start: string): Promise<void> {
  const listed = JSON.parse(await succeeds(person, ['key', 'list', '--json'])) as {
    keys: { id: string; name?: string }[]
  }
  const { id = '' } = listed.keys.find(({ name }) => name?.startsWith(start)) ?? {}
  await succeeds(person, ['key', 'remove', id, '--yes'])
}
