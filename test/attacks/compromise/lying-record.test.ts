/**
 * A server that lies in the record that `rotate --since` asks it for, while a signing key is replaced. Nobody signed that
 * record: it may have good things taken out, or bad ones kept, and never a key put in force that no signed file had there.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { keyFields } from '../../../keys/public-key.ts'
import { roleName } from '../../../tuf/index.ts'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Founded, Person } from '../../support/incident-lab.ts'
import { startProxy } from '../../support/proxy.ts'

const [GOOD, EVIL] = [digestOf('good'), digestOf('evil')]

type Written = {
  readonly keys: readonly object[]
  readonly threshold: number
  readonly scope: { readonly kind: string; readonly patterns: readonly string[] }
  readonly terminating: boolean
}
type Entry = { readonly keys: readonly object[]; readonly scope: readonly string[] }
type Lie = {
  /** The role that is said to have been another before. */
  readonly role: string
  readonly before: (keys: { readonly liar: object; readonly team: object }) => Entry
  readonly tag: string
}
const OWN_ROLE: Lie = { role: 'mine', before: ({ liar }) => ({ keys: [liar], scope: ['*'] }), tag: 'n' }
const OTHER_KEY: Lie = { role: 'team', before: ({ liar }) => ({ keys: [liar], scope: ['x-*'] }), tag: 'x-1' }
const LIES: Record<string, Lie> = {
  'that a role of its own was there, and was taken away': OWN_ROLE,
  "that a team's key was another one": OTHER_KEY,
  'that a team had a second key': {
    role: 'team',
    before: ({ liar, team }) => ({ keys: [team, liar], scope: ['x-*'] }),
    tag: 'x-1',
  },
}

for (const [name, lie] of Object.entries(LIES)) {
  await t.test(`says ${name}`, async (t) => {
    const scene = await lied(t, lie)
    const { lab, liar, rotate } = scene
    const ran = await lab.owner.run(rotate)
    t.equal(ran.code, 0, ran.stderr)
    t.match(JSON.parse(ran.stdout), { changed: [{ delegation: lie.role, decision: null }], undecided: 1 })
    await t.rejects(liar.sign({ [lie.tag]: 'evil' }, { role: roleName(lie.role) }), 'its key counts for nothing')
    t.not(await verdictOn(await lab.consumer(), lie.tag), EVIL)
    t.equal(await verdictOn(await lab.consumer(), '1.0'), GOOD)
  })
}

for (const name of ['all', 'delegation:mine']) {
  await t.test(`is not believed in the command that finds it, by --restore ${name}`, async (t) => {
    const { lab, liar, rotate } = await lied(t, OWN_ROLE)
    const ran = await lab.owner.run([...rotate, '--restore', name])
    t.match(JSON.parse(ran.stdout), { changed: [{ delegation: 'mine', signed: false, decision: null }], undecided: 1 })
    const decide = ['rotate', REPOSITORY, 'targets', '--compromised', '--json', '--restore', 'all']
    t.match(JSON.parse(await succeeds(lab.owner, decide)), { undecided: 1 }, 'nor later, by a word for everything')
    await t.rejects(liar.sign({ n: 'evil' }, { role: roleName('mine') }))
  })
}

await t.test('is believed where its owner says so by name, after being told whose word it is', async (t) => {
  const { lab, rotate } = await lied(t, OTHER_KEY)
  const { stderr } = await lab.owner.run(rotate.filter((word) => word !== '--json'))
  t.match(stderr, /^warning: out until you decide: delegation:team .*by the word of the server alone \([0-9a-f]{64}\)/m)
  t.match(stderr, /^hint: .*"all" .*restores no delegation that was so by the word of the server alone/m)
  await succeeds(lab.owner, ['rotate', REPOSITORY, 'targets', '--compromised', '--restore', 'delegation:team'])
  const listed = await succeeds(lab.owner, ['delegation', 'list', REPOSITORY, '--json'])
  t.match(JSON.parse(listed), { delegations: [{ role: 'team' }] })
})

/** What the history says that `1.0` meant, beside `good`. */
const PASTS: Record<string, object> = {
  'another digest': { digest: EVIL, length: 1000 },
  'the same with another length': { digest: GOOD, length: 7 },
  'another digest, in a version that there is none of': { digest: EVIL, length: 1000, version: 99 },
}
for (const [name, past] of Object.entries(PASTS)) {
  await t.test(`says that a tag meant ${name}`, async (t) => {
    const { lab, since, proxy } = await opened(t)
    proxy.alter = (bytes, { url = '' }) => {
      const entry = { tag: '1.0', role: 'targets', version: 2, keyids: [], digest: GOOD, length: 1000 }
      const entries = [
        { ...entry, version: 3, at: new Date(lab.clock.now).toISOString() },
        { ...entry, at: new Date(lab.clock.now - 3_600_000).toISOString(), ...past },
      ]
      if (url.includes('/history')) return Buffer.from(JSON.stringify({ entries }))
      return url.includes('/_changes') ? Buffer.from(JSON.stringify({ tags: ['1.0'], delegations: [] })) : bytes
    }
    const rotate = ['rotate', REPOSITORY, 'targets', '--compromised', '--no-passphrase']
    const words = ['--since', since, '--restore', 'all', '--server', proxy.url]
    const { stderr } = await lab.owner.run([...rotate, ...words])
    t.match(stderr, /^warning: out until you decide: 1\.0 meant .* by the word of the server alone, and /m)
    t.equal(await verdictOn(await lab.consumer(), '1.0'), 'TAG_NOT_SIGNED')
    await succeeds(lab.owner, [...rotate, '--keep', 'all'])
    t.equal(await verdictOn(await lab.consumer(), '1.0'), GOOD)
  })
}

/** How the team has it now is signed: as much as that, nobody has to prove. */
const LESS: Record<string, (entry: Written) => Written> = {
  'fewer keys': ({ keys, ...entry }) => ({ ...entry, keys: keys.slice(0, 1) }),
  'a higher threshold': (entry) => ({ ...entry, threshold: 2 }),
  'fewer patterns': (entry) => ({ ...entry, scope: { kind: 'paths', patterns: ['x-*'] } }),
}
const MORE: typeof LESS = {
  'another key': ({ keys, ...entry }) => ({ ...entry, keys: keys.map((key) => ({ ...key, public: '00'.repeat(32) })) }),
  'another pattern': (entry) => ({ ...entry, scope: { kind: 'paths', patterns: ['z-*'] } }),
  'every tag': (entry) => ({ ...entry, scope: { kind: 'paths', patterns: ['*'] } }),
  'another kind of scope': (entry) => ({ ...entry, scope: { kind: 'hash-prefixes', patterns: ['0'] } }),
  'the last word': (entry) => ({ ...entry, terminating: true }),
  'a lower threshold': (entry) => ({ ...entry, threshold: 1 }),
}
for (const [cases, signed] of [[LESS, true] as const, [MORE, false] as const]) {
  for (const [name, alter] of Object.entries(cases)) {
    await t.test(`${signed ? 'may' : 'may not'} say that a team had ${name}`, async (t) => {
      const { lab, since, proxy } = await opened(t)
      const { owner, clock } = lab
      await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', 'second'])
      const threshold = name === 'a lower threshold' ? ['--threshold', '2'] : []
      const more = ['--key', await pemOf(owner, 'second'), '--path', 'x-*', '--path', 'y-*', ...threshold]
      await succeeds(owner, ['delegation', 'add', REPOSITORY, 'team', ...more])
      const keys = [await publicKey(owner, 'team'), await publicKey(owner, 'second')]
      const scope = { kind: 'paths', patterns: ['x-*', 'y-*'] }
      const before = alter({ keys, threshold: name === 'a lower threshold' ? 2 : 1, scope, terminating: false })
      const change = {
        delegator: 'targets',
        role: 'team',
        version: 1,
        at: new Date(clock.now).toISOString(),
        keyids: [],
      }
      proxy.alter = (bytes, { url = '' }) => {
        if (!url.includes('/_changes')) return bytes
        return Buffer.from(JSON.stringify({ tags: [], delegations: [{ ...change, before }], orders: [] }))
      }
      const words = ['--compromised', '--since', since, '--no-passphrase', '--json', '--server', proxy.url]
      const told = JSON.parse(await succeeds(owner, ['rotate', REPOSITORY, 'targets', ...words])) as object
      t.match(told, { changed: [{ delegation: 'team', signed }] })
    })
  }
}

/** Superseded files stay for ten minutes: then nothing but the record says how things were. */
await t.test('an honest one that has no older file any more has its word told, and taken then', async (t) => {
  const { lab, since } = await opened(t)
  const { owner, clock } = lab
  const { thief } = await steal(lab, owner, 'targets ')
  await thief.sign({ '1.0': 'evil' })
  await succeeds(thief, ['delegation', 'remove', REPOSITORY, 'team'])
  await lab.server.services.deps.store.metadata.prune(clock.now + 1, 1000)
  const rotate = ['rotate', REPOSITORY, 'targets', '--compromised', '--no-passphrase', '--json']
  const told = JSON.parse(await succeeds(owner, [...rotate, '--since', since, '--restore', 'all'])) as object
  t.match(told, {
    changed: [
      { tag: '1.0', signed: false },
      { delegation: 'team', signed: false },
    ],
    undecided: 2,
  })
  t.equal(await verdictOn(await lab.consumer(), '1.0'), 'TAG_NOT_SIGNED')
  t.match(JSON.parse(await succeeds(owner, [...rotate, '--restore', 'all'])), { undecided: 1 })
  t.equal(await verdictOn(await lab.consumer(), '1.0'), GOOD)
  t.match(JSON.parse(await succeeds(owner, [...rotate, '--restore', 'delegation:team'])), { undecided: 0 })
  await owner.sign({ 'x-1': 'good' }, { role: roleName('team') })
  t.equal(await verdictOn(await lab.consumer(), 'x-1'), GOOD)
})

async function lied(t: Test, { role, before, tag }: Lie) {
  const { lab, since, proxy } = await opened(t)
  const { owner, clock } = lab
  if (role === 'team') await owner.sign({ [tag]: 'good' }, { role: roleName('team') })
  const liar = await lab.consumer()
  await succeeds(liar, ['key', 'generate', '--no-passphrase', '--name', 'liar'])
  const { keys, scope } = before({ liar: await publicKey(liar, 'liar'), team: await publicKey(owner, 'team') })
  const entry = { keys, threshold: 1, scope: { kind: 'paths', patterns: scope }, terminating: false }
  const change = { delegator: 'targets', role, version: 2, at: new Date(clock.now).toISOString(), keyids: [] }
  proxy.alter = (bytes, { url = '' }) => {
    if (!url.includes('/_changes')) return bytes
    return Buffer.from(JSON.stringify({ tags: [], delegations: [{ ...change, before: entry }], orders: [] }))
  }
  const words = ['--compromised', '--since', since, '--no-passphrase', '--json', '--server', proxy.url]
  return { lab, liar, rotate: ['rotate', REPOSITORY, 'targets', ...words] }
}

/** `1.0` means `good`, and there is a team for `x-*`; and what stands between the owner and the server lies. */
async function opened(t: Test) {
  const lab = await founded(t)
  await team(lab)
  lab.clock.now += 60_000
  const since = new Date(lab.clock.now).toISOString()
  lab.clock.now += 60_000
  const proxy = await startProxy(lab.url)
  t.teardown(proxy.close)
  return { lab, since, proxy }
}

async function team({ owner }: Founded): Promise<void> {
  await succeeds(owner, ['key', 'generate', '--no-passphrase', '--name', 'team'])
  const key = await pemOf(owner, 'team')
  await succeeds(owner, ['delegation', 'add', REPOSITORY, 'team', '--key', key, '--path', 'x-*'])
}

async function pemOf(person: Person, name: string): Promise<string> {
  const path = join(person.home, `${name}.pem`)
  await writeFile(path, await succeeds(person, ['key', 'export', name]))
  return path
}

async function publicKey(person: Person, name: string): Promise<object> {
  const keystore = await person.context().keystore()
  const signer = await keystore.open(name)
  const { keytype, scheme, public: text } = keyFields(signer.public, 'tuf-1.0')
  signer.close()
  return { keytype, scheme, public: text }
}
