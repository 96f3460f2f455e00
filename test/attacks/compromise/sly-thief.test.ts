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
} from '../../../tuf/index.ts'
import type { Delegations, PublicKey, RoleName, TargetFile, Targets } from '../../../tuf/index.ts'
import { digestOf, founded, REPOSITORY, steal, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Founded, Person } from '../../support/incident-lab.ts'

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

type Scene = {
  readonly lab: Founded
  readonly thief: Person
  /** Of the stolen key, and the name of one that is the thief's own. */
  readonly id: string
  readonly own: string
  readonly since: string
}
type Robbery = { readonly prepare?: (lab: Founded) => Promise<void>; readonly key?: string }

/** `a` means `good`. */
async function robbed(t: Test, { prepare = async () => {}, key = 'targets ' }: Robbery = {}): Promise<Scene> {
  const lab = await founded(t)
  await prepare(lab)
  await lab.owner.sign({ a: 'good' })
  const { thief, id } = await steal(lab, lab.owner, key)
  lab.clock.now += 60_000
  const since = new Date(lab.clock.now).toISOString()
  lab.clock.now += 60_000
  return { lab, thief, id, own: await generate(thief, 'own'), since }
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
