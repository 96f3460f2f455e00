/**
 * A thief of the targets key who knows what the owner will do: `rotate --compromised --since`. Whatever they prepare for
 * that moment, it is listed, and counts no more afterwards.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openDesk } from '../../../client/publish/desk.ts'
import type { Edit } from '../../../client/publish/edit.ts'
import { publish } from '../../../client/publish/publish.ts'
import { allRoles } from '../../../client/publish/standing.ts'
import type { Standing } from '../../../client/publish/standing.ts'
import { editOf } from '../../../client/publish/tags.ts'
import { keyFields } from '../../../keys/public-key.ts'
import {
  binNames,
  delegatedAuthority,
  firstTargets,
  keySetOf,
  roleName,
  succinctBins,
  TARGETS,
  withDelegation,
  withoutDelegation,
} from '../../../tuf/index.ts'
import type { DelegatedRole, Delegations, PublicKey, RoleName, TargetFile, Targets } from '../../../tuf/index.ts'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Founded, Person } from '../../support/incident-lab.ts'
import { startProxy } from '../../support/proxy.ts'

const GOOD = digestOf('good')
const EVIL = digestOf('evil')

await t.test('keeps one of two stolen keys in a role that is under nothing else', async (t) => {
  const scene = await robbed(t, {
    key: 'second',
    async prepare({ owner }) {
      const [first, second] = [await generate(owner, 'first'), await generate(owner, 'second')]
      await succeeds(owner, ['rotate', REPOSITORY, 'targets', '--key', first, '--key', second])
    },
  })
  const { lab, thief, id } = scene
  await succeeds(thief, [...add('evil', '*'), '--key', await pemOf(thief, 'stolen')])
  await thief.sign({ n: 'evil' }, { role: roleName('evil') })
  const { changed } = await rotated(scene, ['--stolen', id])
  t.match(changed, [{ delegation: 'evil', before: null }])
  t.equal(await verdictOn(await lab.consumer(), 'n'), 'TAG_NOT_SIGNED')
  await t.rejects(thief.sign({ n: 'evil' }, { role: roleName('evil') }), { code: 'TAG_OUT_OF_SCOPE' })
  const keep = ['rotate', REPOSITORY, 'targets', '--compromised', '--keep', 'delegation:evil', '--json']
  const kept = await lab.owner.run(keep)
  t.match(JSON.parse(kept.stdout), { rotated: false, stillSigning: ['evil'] })
  t.match(kept.stderr, 'warning: the old key still signs for evil', 'whoever keeps it is told what that means')
})

await t.test('delegates everything to hash bins of their own', async (t) => {
  for (const roles of [[], ['team', 'other']]) {
    await t.test(`in place of ${roles.length} roles`, async (t) => {
      const scene = await robbed(t, { prepare: (lab) => teams(lab, roles) })
      const { lab } = scene
      await publishes(scene, (standing, own) => {
        const delegations = succinctBins({ keys: [own], threshold: 1 }, 1, 'evil')
        const edit = targetsWith(standing, scene, { delegations })
        const bins = delegations.succinct === undefined ? [] : binNames(delegations.succinct)
        return [edit, ...bins.map((bin) => firstOf(edit.body, bin, { n: 'evil' }, standing, scene))]
      })
      t.equal(await verdictOn(await lab.consumer(), 'n'), EVIL)
      const { changed } = await rotated(scene)
      t.match(changed.at(0), { delegation: 'evil-*', before: null, now: { scope: { kind: 'bins' } } })
      t.equal(await verdictOn(await lab.consumer(), 'n'), 'TAG_NOT_SIGNED')
      for (const role of roles) await lab.owner.sign({ [`${role}-1`]: 'good' }, { role: roleName(role) })
      await lab.owner.sign({ n: 'good' })
    })
  }
})

await t.test('gives an image another length, so that nobody can pull it', async (t) => {
  const scene = await robbed(t)
  await publishes(scene, (standing) => [targetsWith(standing, scene, { set: new Map([['a', imageOf('good', 7)]]) })])
  const { changed } = await rotated(scene, ['--compromised', '--restore', 'all'])
  t.match(changed, [{ tag: 'a', before: GOOD, now: GOOD, decision: 'restore' }])
  const verified = JSON.parse(await succeeds(await scene.lab.consumer(), ['list', REPOSITORY, '--json'])) as object
  t.match(JSON.stringify(verified), '"length":1000')
})

/** Other clients check every hash, and take what custom data says. */
const BESIDES: Record<string, Partial<TargetFile>> = {
  'a hash that no image has': { hashes: new Map([...imageOf('good').hashes, ['sha512', 'ab'.repeat(64)]]) },
  'custom data': { custom: { run: 'as root' } },
  'a member that nobody knows': { unknown: new Map([['mirror', 'elsewhere']]) },
}
for (const [what, more] of Object.entries(BESIDES)) {
  await t.test(`signs ${what} beside the digest of an image`, async (t) => {
    const scene = await robbed(t)
    const altered = { ...imageOf('good'), ...more }
    await publishes(scene, (standing) => [targetsWith(standing, scene, { set: new Map([['a', altered]]) })])
    const { changed } = await rotated(scene, ['--compromised', '--restore', 'all'])
    t.match(changed, [{ tag: 'a', before: GOOD, now: GOOD, decision: 'restore' }])
    const opened = scene.lab.owner.context()
    const { targets } = await (await opened.repository(REPOSITORY)).refreshToPublish(opened.signal)
    t.same(targets.targets.get('a'), imageOf('good'))
  })
}

await t.test("puts a team's role under the stolen key, which is replaced by the owner's", async (t) => {
  const scene = await robbed(t, {
    async prepare(lab) {
      await teams(lab, ['team'])
      await lab.owner.sign({ 'team-1': 'good' }, { role: roleName('team') })
    },
  })
  const { lab, thief } = scene
  await publishes(scene, async (standing) => {
    const { keys } = keySetOf(standing.root, TARGETS)
    const [, held] = await allRoles(standing)
    const team = standing.targets.delegations?.roles[0]
    if (team === undefined || held === undefined) throw new Error('there is no team')
    const delegations = withDelegation(standing.targets.delegations, { ...team, keys, threshold: 1 })
    const edit = targetsWith(standing, scene, { delegations })
    const mine = { ...held, authority: delegatedAuthority(edit.body, held.name) }
    return [edit, editOf(mine, {}, { codec: standing.codec, clock: () => lab.clock.now })]
  })
  await thief.sign({ 'team-1': 'evil' }, { role: roleName('team') })
  const { changed } = await rotated(scene)
  t.match(changed, [{ tag: 'team-1' }, { delegation: 'team', before: { scope: { patterns: ['team-*'] } } }])
  t.equal(await verdictOn(await lab.consumer(), 'team-1'), 'THRESHOLD')
  await lab.owner.sign({ 'team-1': 'good' }, { role: roleName('team') })
  t.equal(await verdictOn(await lab.consumer(), 'team-1'), GOOD, 'the team signs as before')
})

/** Two teams may sign the same tag, and the one that is asked first decides. */
const ORDERS: Record<string, Order> = {
  'asks the teams in another order': { makes: [(list) => ({ ...list, roles: list.roles.toReversed() })] },
  'takes a team away, and gives it back behind the other one': {
    makes: [(list) => withoutDelegation(list, roleName('first')), backAgain],
    isGone: true,
  },
  'takes a team away, which is given back where it stood': {
    makes: [(list) => withoutDelegation(list, roleName('first'))],
    isGone: true,
    told: [{ delegation: 'first', now: null, before: { scope: { patterns: ['*'] } } }],
  },
  'hides the other order behind a role of its own': {
    makes: [
      (list, own) => withDelegation(list, { ...everything, name: roleName('mine'), keys: [own] }, roleName('first')),
      (list) => ({ ...list, roles: list.roles.toReversed() }),
    ],
    told: [
      { delegation: 'mine', before: null },
      { order: 'targets', before: ['first', 'dev'], now: ['dev', 'first', 'mine'] },
    ],
  },
}
type Making = (delegations: Delegations, own: PublicKey, first: DelegatedRole) => Delegations
type Order = {
  /** What the thief publishes, one after the other. */
  readonly makes: readonly Making[]
  readonly isGone?: true
  /** Where it is not that the two teams changed places. */
  readonly told?: readonly object[]
}
const everything = { threshold: 1, scope: { kind: 'paths' as const, paths: ['*'] }, terminating: false }

function backAgain(list: Delegations, _own: PublicKey, first: DelegatedRole): Delegations {
  return { ...list, roles: [...list.roles, first] }
}

for (const [name, { makes, isGone, told }] of Object.entries(ORDERS)) {
  await t.test(name, async (t) => {
    const scene = await robbed(t, { prepare: (lab) => twoTeams(lab) })
    const { lab } = scene
    await reordered(scene, makes)
    if (isGone !== true) t.equal(await verdictOn(await lab.consumer(), 'n'), EVIL)
    const { changed } = await rotated(scene)
    t.match(changed, told ?? [{ order: 'targets', before: ['first', 'dev'], now: ['dev', 'first'], decision: null }])
    t.same(await delegated(lab), ['first', 'dev'])
    if (isGone === true) await lab.owner.sign({ n: 'good' }, { role: roleName('first') })
    t.equal(await verdictOn(await lab.consumer(), 'n'), GOOD)
  })
}

await t.test('asks the teams of a repository of Notary in another order', async (t) => {
  const names = ['targets/first', 'targets/dev']
  const scene = await robbed(t, { dialect: 'notary', prepare: (lab) => twoTeams(lab, names) })
  await reordered(scene, [(list) => ({ ...list, roles: list.roles.toReversed() })])
  t.same(await delegated(scene.lab), names.toReversed())
  const { changed } = await rotated(scene)
  t.match(changed, [{ order: 'targets', before: names, now: names.toReversed() }])
  t.same(await delegated(scene.lab), names)
})

await t.test("has a team's tags expire within the hour, which no record says", async (t) => {
  const scene = await robbed(t, { prepare: (lab) => twoTeams(lab) })
  const { lab, thief, since } = scene
  const lifetime = ['delegation', 'add', REPOSITORY, 'dev', '--lifetime']
  await succeeds(thief, [...lifetime, '1h'])
  const rotate = ['rotate', REPOSITORY, 'targets', '--compromised', '--since', since, '--no-passphrase']
  const { stderr } = await lab.owner.run(rotate)
  t.match(stderr, /^warning: no record says who wrote how long files live, .*: dev \(for 1h\)$/m)
  t.match(stderr, `hint: where that was not you: tagseal ${lifetime.join(' ')} 30d`)
})

await t.test('another order is told in words, and is kept where its owner says so later', async (t) => {
  const scene = await robbed(t, { prepare: (lab) => twoTeams(lab) })
  const { lab, since } = scene
  await reordered(scene, [(list) => ({ ...list, roles: list.roles.toReversed() })])
  const rotate = ['rotate', REPOSITORY, 'targets', '--compromised']
  const { stderr } = await lab.owner.run([...rotate, '--since', since, '--no-passphrase'])
  t.match(
    stderr,
    /^warning: as it was before until you decide: order:targets .* first, dev before, and dev, first since;/m,
  )
  await succeeds(lab.owner, [...rotate, '--keep', 'order:targets'])
  t.same(await delegated(lab), ['dev', 'first'])
  t.match(await succeeds(lab.owner, [...rotate, '--keep', 'all']), /0 undecided/)
})

await t.test('a server that keeps neither order nor what is beside a digest is read, and that is said', async (t) => {
  const scene = await robbed(t, { prepare: (lab) => twoTeams(lab) })
  const { lab, thief, since } = scene
  await reordered(scene, [(list) => ({ ...list, roles: list.roles.toReversed() })])
  await thief.sign({ a: 'evil' }, { role: TARGETS })
  const proxy = await startProxy(lab.url)
  t.teardown(proxy.close)
  proxy.alter = (bytes, { url = '' }) =>
    /\/_changes|\/history/.test(url) ? Buffer.from(JSON.stringify(asBefore(JSON.parse(bytes.toString())))) : bytes
  const rotate = ['rotate', REPOSITORY, 'targets', '--compromised', '--since', since, '--no-passphrase', '--json']
  const ran = await lab.owner.run([...rotate, '--server', proxy.url])
  t.match(JSON.parse(ran.stdout), { changed: [{ tag: 'a', before: GOOD, now: EVIL }] })
  t.match(
    ran.stderr,
    `warning: the server does not say in which order roles were asked: tagseal delegation list ${REPOSITORY}`,
  )
})

/** The same answer by a server that does not know these members. */
function asBefore(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asBefore)
  if (typeof value !== 'object' || value === null) return value
  const left = Object.entries(value).filter(([name]) => name !== 'orders' && name !== 'besides')
  return Object.fromEntries(left.map(([name, each]) => [name, asBefore(each)]))
}

type Scene = {
  readonly lab: Founded
  readonly thief: Person
  /** Of the stolen key, and the name of one that is the thief's own. */
  readonly id: string
  readonly own: string
  readonly since: string
}
type Robbery = {
  readonly prepare?: (lab: Founded) => Promise<void>
  readonly key?: string
  readonly dialect?: 'notary'
}

/** `a` means `good`. */
async function robbed(t: Test, { prepare = async () => {}, key = 'targets ', dialect }: Robbery = {}): Promise<Scene> {
  const lab = await founded(t, dialect === undefined ? {} : { init: () => ['--dialect', dialect] })
  await prepare(lab)
  await lab.owner.sign({ a: 'good' })
  const { thief, id } = await steal(lab, lab.owner, key)
  lab.clock.now += 60_000
  const since = new Date(lab.clock.now).toISOString()
  lab.clock.now += 60_000
  return { lab, thief, id, own: await generate(thief, 'own'), since }
}

/** `n` means `evil` where `dev` is asked before `first`. */
async function twoTeams({ owner }: Founded, names: readonly string[] = ['first', 'dev']): Promise<void> {
  for (const name of names) {
    const key = name.replace('/', '.')
    await generate(owner, key)
    await succeeds(owner, ['delegation', 'add', REPOSITORY, name, '--key', await pemOf(owner, key), '--path', '*'])
  }
  const [first = '', dev = ''] = names
  await owner.sign({ n: 'evil' }, { role: roleName(dev) })
  await owner.sign({ n: 'good' }, { role: roleName(first) })
}

async function reordered(scene: Scene, makes: readonly Making[]): Promise<void> {
  let first: DelegatedRole | undefined
  let keys: Delegations['keys'] = new Map()
  for (const make of makes) {
    await publishes(scene, (standing, own) => {
      const { delegations } = standing.targets
      first ??= delegations?.roles[0]
      if (delegations === undefined || first === undefined) throw new Error('there is no team')
      keys = new Map([...keys, ...delegations.keys])
      const next = make(delegations, own, first)
      const used = new Set(next.roles.flatMap(({ keyids }) => keyids))
      const listed = new Map([...keys, ...next.keys].filter(([id]) => used.has(id)))
      return [targetsWith(standing, scene, { delegations: { ...next, keys: listed } })]
    })
  }
}

async function delegated({ owner }: Founded): Promise<readonly string[]> {
  const { delegations } = JSON.parse(await succeeds(owner, ['delegation', 'list', REPOSITORY, '--json'])) as {
    delegations: readonly { readonly role: string }[]
  }
  return delegations.map(({ role }) => role)
}

type Told = { readonly changed: readonly { readonly tag?: string; readonly delegation?: string }[] }

async function rotated({ lab, since }: Scene, how: readonly string[] = ['--compromised']): Promise<Told> {
  const command = ['rotate', REPOSITORY, 'targets', ...how, '--since', since, '--no-passphrase', '--json']
  return JSON.parse(await succeeds(lab.owner, command)) as Told
}

/** What no command line would publish. */
async function publishes(
  { thief, own, lab }: Scene,
  make: (standing: Standing, own: PublicKey) => Promise<readonly Edit[]> | readonly Edit[],
): Promise<void> {
  const opened = thief.context()
  const signer = await (await opened.keystore()).open(own)
  const desk = await openDesk(opened, REPOSITORY)
  let isDone = false
  const plan = async (standing: Standing) => {
    if (isDone) return []
    isDone = true
    const { codec, suite } = standing
    return await make(standing, codec.key(keyFields(signer.public, codec.dialect), suite))
  }
  await publish(desk, plan).finally(desk.close)
  lab.clock.now += 1000
}

type Change = { readonly set?: ReadonlyMap<string, TargetFile>; readonly delegations?: Delegations }

function targetsWith(standing: Standing, { lab }: Scene, change: Change): Edit & { readonly body: Targets } {
  const { targets: file, root, codec } = standing
  const role = root.roles.get(TARGETS)
  if (role === undefined) throw new Error('there is no targets')
  const held = { name: TARGETS, file, version: file.version, authority: { name: TARGETS, role, keys: root.keys } }
  const { body, ...edit } = editOf(held, change, { codec, clock: () => lab.clock.now })
  if (body.type !== 'targets') throw new Error('that is no targets')
  return { ...edit, body }
}

function firstOf(
  delegator: Targets,
  role: RoleName,
  tags: Readonly<Record<string, string>>,
  { codec }: Standing,
  { lab }: Scene,
): Edit {
  const set = new Map(Object.entries(tags).map(([tag, seed]) => [tag, imageOf(seed)]))
  const body = firstTargets({ set }, { codec, expires: lab.clock.now + 86_400_000 })
  return { role, body, authorities: [delegatedAuthority(delegator, role)] }
}

function imageOf(seed: string, length = 1000): TargetFile {
  return { length, hashes: new Map([['sha256', digestOf(seed).slice('sha256:'.length)]]), unknown: new Map() }
}

function add(role: string, path: string): readonly string[] {
  return ['delegation', 'add', REPOSITORY, role, '--path', path]
}

async function teams({ owner }: Founded, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await generate(owner, name)
    await succeeds(owner, [...add(name, `${name}-*`), '--key', await pemOf(owner, name)])
  }
}

async function generate(person: Person, name: string): Promise<string> {
  return (await succeeds(person, ['key', 'generate', '--no-passphrase', '--name', name])).trim()
}

async function pemOf(person: Person, name: string): Promise<string> {
  const path = join(person.home, `${name}.pem`)
  await writeFile(path, await succeeds(person, ['key', 'export', name]))
  return path
}
