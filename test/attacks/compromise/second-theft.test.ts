/** A second rotation while something of the first one is undecided: nothing is forgotten, and nothing of a thief comes back. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Founded, Person } from '../../support/incident-lab.ts'
import { startProxy } from '../../support/proxy.ts'

const [GOOD, EVIL] = [digestOf('good'), digestOf('evil')]
const ROTATE = ['rotate', REPOSITORY, 'targets', '--no-passphrase', '--json']

await t.test('one that never came to be leaves the first as it was', async (t) => {
  const { lab, since } = await robbed(t)
  const first = await rotated(lab.owner, ['--compromised', '--since', since])
  const broken = await refusing(t, lab)
  const second = ['--stolen', first.keys[0] ?? '', '--since', since, '--server', broken]
  t.not((await lab.owner.run([...ROTATE, ...second])).code, 0)
  await t.test('to decide', async (t) => {
    t.match(await rotated(lab.owner, ['--compromised']), { rotated: false, undecided: 2 })
  })
  await t.test('and to carry into a third', async (t) => {
    lab.clock.now += 60_000
    const now = new Date(lab.clock.now).toISOString()
    const third = await rotated(lab.owner, ['--stolen', first.keys[0] ?? '', '--since', now])
    t.match(third, { rotated: true, undecided: 2 })
    await decides(t, lab)
  })
})

await t.test('one that was interrupted goes on with what the first left', async (t) => {
  for (const requests of [2, 9, 14]) {
    const { lab, since } = await robbed(t)
    const first = await rotated(lab.owner, ['--compromised', '--since', since])
    const second = [...ROTATE, '--stolen', first.keys[0] ?? '', '--since', later(lab.clock)]
    t.equal(
      (await lab.owner.interrupted(second, lab.server.app.server, requests)).code,
      3,
      `after ${requests} requests`,
    )
    await lab.owner.run(second)
    await decides(t, lab)
    t.not((await keysOf(lab.owner))[0], first.keys[0])
  }
})

/** What leaves a role with other keys than those that it got when the stolen one left. */
const OTHERWISE: Record<string, (owner: Person, key: string) => Promise<unknown>> = {
  'a rotation without --since': async (owner, key) => await rotated(owner, ['--stolen', key]),
  'a rotation of a key that was lost': async (owner, key) => await rotated(owner, ['--lost', key]),
  'a renewal with another key': async (owner) => {
    await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', 'other'])
    await rotated(owner, ['--key', 'other'])
  },
  'a ceremony': async (owner) => {
    await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', 'other'])
    const file = join(owner.home, 'proposal.json')
    const add = ['--add-targets', await pemOf(owner, 'other'), '--out', file]
    await succeeds(owner, ['root', 'propose', REPOSITORY, ...add])
    await succeeds(owner, ['root', 'sign', file, '--yes'])
    await succeeds(owner, ['root', 'publish', file])
  },
}
for (const [what, change] of Object.entries(OTHERWISE)) {
  await t.test(`${what} leaves what is undecided to decide on`, async (t) => {
    const { lab, since } = await robbed(t)
    const { keys } = await rotated(lab.owner, ['--compromised', '--since', since])
    await change(lab.owner, keys[0] ?? '')
    await decides(t, lab)
  })
}

await t.test('a second key for a team leaves what is undecided of the first', async (t) => {
  const lab = await founded(t)
  const { owner, clock } = lab
  for (const name of ['team', 'other']) await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', name])
  const add = ['delegation', 'add', REPOSITORY, 'team', '--key']
  await succeeds(owner, [...add, await pemOf(owner, 'team'), '--path', '*'])
  const { thief } = await steal(lab, owner, 'team')
  const since = later(clock)
  await thief.sign({ made: 'evil' })
  const rotate = ['rotate', REPOSITORY, 'team', '--compromised', '--no-passphrase', '--json']
  await succeeds(owner, [...rotate, '--since', since])
  await succeeds(owner, [...add, await pemOf(owner, 'other')])
  t.match(JSON.parse(await succeeds(owner, [...rotate, '--drop', 'made'])), { rotated: false, undecided: 0 })
})

for (const decisions of [[], ['--drop', 'all']]) {
  const what = decisions.length === 0 ? 'is undecided' : 'was dropped'
  await t.test(`a time within the first theft brings nothing of its thief back that ${what}`, async (t) => {
    const { lab, thief, since } = await robbed(t)
    const { owner } = lab
    await succeeds(thief, ['key', 'generate', '--no-passphrase', '--name', 'own'])
    const add = ['delegation', 'add', REPOSITORY, 'evil', '--path', 'e-*']
    await succeeds(thief, [...add, '--key', await pemOf(thief, 'own')])
    await thief.sign({ 'e-1': 'evil' })
    const within = later(lab.clock)
    const first = await rotated(owner, ['--compromised', '--since', since, ...decisions])
    lab.clock.now += 60_000
    await owner.sign({ later: 'good' })
    const second = ['--stolen', first.keys[0] ?? '', '--since', within, '--keep', 'later', '--restore', 'all']
    const ran = await owner.run([...ROTATE, ...second])
    t.equal(ran.code, 0, ran.stderr)
    t.match(ran.stderr, /was in the hands of a thief then/)
    // What the first keys signed, nobody can check by those of now.
    const byName = decisions.length === 0 ? [] : ['--restore', 'a']
    t.match(await rotated(owner, ['--compromised', '--restore', 'all', ...byName]), { undecided: 0 })
    const consumer = await lab.consumer()
    t.equal(await verdictOn(consumer, 'later'), GOOD)
    t.equal(await verdictOn(consumer, 'a'), GOOD)
    t.equal(await verdictOn(consumer, 'b'), 'TAG_NOT_SIGNED')
    t.equal(await verdictOn(consumer, 'e-1'), 'TAG_NOT_SIGNED')
    t.same(await delegated(owner), [])
  })
}

await t.test('a second thief who moves what the first one moved does not hide what it meant before', async (t) => {
  const { lab, since } = await robbed(t)
  const { keys } = await rotated(lab.owner, ['--compromised', '--since', since])
  const { thief } = await steal(lab, lab.owner, keys[0] ?? '')
  const again = later(lab.clock)
  await thief.sign({ a: 'mine' })
  const told = await rotated(lab.owner, ['--stolen', keys[0] ?? '', '--since', again, '--restore', 'a'])
  t.match(told, { changed: [{ tag: 'a', before: GOOD, now: digestOf('mine') }, { tag: 'b' }], undecided: 1 })
  t.equal(await verdictOn(await lab.consumer(), 'a'), GOOD)
})

/** `a` meant `good`, and means `evil` since; `b` meant nothing. */
async function robbed(t: Test) {
  const lab = await founded(t)
  await lab.owner.sign({ a: 'good' })
  const { thief } = await steal(lab, lab.owner, 'targets ')
  const since = later(lab.clock)
  await thief.sign({ a: 'evil', b: 'evil' })
  t.equal(await verdictOn(await lab.consumer(), 'a'), EVIL)
  return { lab, thief, since }
}

function later(clock: { now: number }): string {
  clock.now += 60_000
  const text = new Date(clock.now).toISOString()
  clock.now += 60_000
  return text
}

type Told = { readonly keys: readonly string[]; readonly undecided: number }

async function rotated(owner: Person, words: readonly string[]): Promise<Told> {
  return JSON.parse(await succeeds(owner, [...ROTATE, ...words])) as Told
}

async function decides(t: Test, lab: Founded): Promise<void> {
  const { undecided } = await rotated(lab.owner, ['--compromised', '--restore', 'a', '--drop', 'b'])
  t.equal(undecided, 0)
  t.equal(await verdictOn(await lab.consumer(), 'a'), GOOD)
  t.equal(await verdictOn(await lab.consumer(), 'b'), 'TAG_NOT_SIGNED')
}

/** A server that takes nothing. */
async function refusing(t: Test, { url }: Founded): Promise<string> {
  const proxy = await startProxy(url)
  t.teardown(proxy.close)
  proxy.before = ({ method, url: path = '' }) => {
    if (method === 'POST' && path.endsWith('/_trust/tuf/')) throw new Error('it is down')
  }
  return proxy.url
}

async function keysOf(owner: Person): Promise<readonly string[]> {
  const told = await rotated(owner, ['--compromised', '--keep', 'all'])
  return told.keys
}

async function delegated(owner: Person): Promise<readonly string[]> {
  const listed = JSON.parse(await succeeds(owner, ['delegation', 'list', REPOSITORY, '--json'])) as {
    readonly delegations: readonly { readonly role: string }[]
  }
  return listed.delegations.map(({ role }) => role)
}

async function pemOf(person: Person, name: string): Promise<string> {
  const path = join(person.home, `${name}.pem`)
  await writeFile(path, await succeeds(person, ['key', 'export', name]))
  return path
}
