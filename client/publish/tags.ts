/** Putting tags in and taking them out, as plans to publish. */
import { delegatedAuthority, firstTargets, nextTargets, version } from '../../tuf/index.ts'
import type { Codec, RoleName, TargetFile, Targets } from '../../tuf/index.ts'
import { digestOf } from '../trust/repository.ts'
import { PublishError } from './errors.ts'
import { allBins, BINS, binToRenew, isOwner, keysOfOwner, spreadIfLarge } from './layout.ts'
import { customsOf, isDue } from './customs.ts'
import { lifetimeIn } from './lifetime.ts'
import { holderOf, placeFor, refuseShadowed } from './place.ts'
import type { Place, PlaceWish } from './place.ts'
import type { Edit, Plan } from './edit.ts'
import { allRoles, rolesFor } from './standing.ts'
import type { HoldingRole, Standing } from './standing.ts'

export type SignWish = {
  readonly repository: string
  readonly tags: ReadonlyMap<string, TargetFile>
  readonly role: RoleName | undefined
  readonly canSign: PlaceWish['canSign']
  readonly canHelp: PlaceWish['canHelp']
  readonly clock: () => number
  /** Throws where a tag is no longer what it was found to be. Asked last, before each attempt. */
  readonly stillSo: () => Promise<void>
  /** Told where each tag is, or will be, and whether clients take that role's word. */
  readonly placed: (tag: string, role: RoleName, counts: boolean) => void
}

/**
 * Binds tags to digests. Of two runs that sign the same tag for different digests, the one that comes second refuses
 * with TAG_CHANGED: nobody here can tell which of the two was meant to win.
 */
export function planSigning(wish: SignWish): Plan {
  const before = new Map<string, string | undefined>()
  return async (standing) => {
    const changes = new Map<RoleName, { readonly role: HoldingRole; readonly set: Map<string, TargetFile> }>()
    for (const [tag, target] of wish.tags) {
      const place = await placeFor(standing, { ...wish, tag })
      wish.placed(tag, place.role.name, place.counts)
      refuseShadowed(place, { ...wish, tag, target })
      refuseChanged(wish, place, tag, target, before)
      if (isSettled(place, tag, target, standing.codec, wish.clock())) continue
      const change = changes.get(place.role.name) ?? { role: place.role, set: new Map<string, TargetFile>() }
      changes.set(place.role.name, change)
      change.set.set(tag, target)
    }
    if (changes.size === 0) return []
    await wish.stillSo()
    const edits = [...changes.values()].flatMap(({ role, set }) => signingEdits(role, set, standing, wish))
    return [...edits, ...(await renewal(standing, edits, wish))]
  }
}

function signingEdits(
  role: HoldingRole,
  set: ReadonlyMap<string, TargetFile>,
  { codec, suite }: Standing,
  { clock }: SignWish,
): readonly Edit[] {
  const edit = editOf(role, { set }, { codec, clock })
  if (!isOwner(role)) return [edit]
  const context = { codec, expires: clock() + customsOf(codec).lifetimes.targets }
  return spreadIfLarge(edit, keysOfOwner(role), suite, context)
}

/**
 * Whoever signs a tag also renews what the tag's answer rests on, where it is due and its keys are here: in a large
 * repository nobody would touch `targets` and the role above the bins otherwise.
 */
async function renewal(standing: Standing, edits: readonly Edit[], wish: SignWish): Promise<readonly Edit[]> {
  const [targets, bins] = await rolesFor(standing, [...wish.tags.keys()][0] ?? '')
  const holders = bins?.name === BINS ? [targets, bins] : [targets]
  // What can be published at once must not wait for others because of what is renewed beside it.
  const waits = edits.some(({ authorities }) => !authorities.every(wish.canSign))
  const able = ({ authority }: HoldingRole) => wish.canSign(authority) || (waits && wish.canHelp(authority))
  const due = holders
    .filter((role) => role !== undefined)
    .filter((role) => able(role) && isLeft(role, standing, edits, wish))
  const bin = bins?.name === BINS && able(bins) ? await binsToRenew(standing, bins, wish) : []
  const left = bin.filter(({ name }) => !edits.some((edit) => edit.role === name))
  return [...due, ...left].map((role) => editOf(role, {}, { codec: standing.codec, clock: wish.clock }))
}

function isLeft(
  { name, file, authority }: HoldingRole,
  { codec }: Standing,
  edits: readonly Edit[],
  { clock }: SignWish,
): boolean {
  if (file === undefined || edits.some((edit) => edit.role === name)) return false
  return isDue(codec, 'targets', file.expires, clock(), lifetimeIn(authority))
}

/**
 * Bins expire one by one: whoever publishes into one also looks after another, and renews it when it is due. Where that
 * one has expired already nobody did for long, and all of them are looked at.
 */
async function binsToRenew(standing: Standing, bins: HoldingRole, wish: SignWish): Promise<readonly HoldingRole[]> {
  const { codec, snapshot } = standing
  if (bins.file === undefined) return []
  const delegator = bins.file
  const held = async (role: RoleName): Promise<HoldingRole> => {
    const { file } = await standing.get({ role, delegator })
    return { name: role, authority: delegatedAuthority(delegator, role), file, version: file.version }
  }
  const next = binToRenew(delegator, snapshot.version)
  const first = next === undefined ? undefined : await held(next)
  const now = wish.clock()
  if (first?.file === undefined || !isDue(codec, 'targets', first.file.expires, now)) return []
  if (first.file.expires > now) return [first]
  const all = await Promise.all(allBins(delegator).map(held))
  return all.filter(({ file }) => file !== undefined && isDue(codec, 'targets', file.expires, now))
}

export type RevokeWish = {
  readonly tags: ReadonlySet<string>
  readonly canSign: PlaceWish['canSign']
  readonly clock: () => number
  /** Told, for the plan that is carried out, which roles give up a tag, and which keep it. */
  readonly told: (tag: string, from: readonly RoleName[], kept: readonly RoleName[]) => void
}

/** Takes tags out of every role that lists them and whose keys are here. */
export function planRevoking(wish: RevokeWish): Plan {
  return async (standing) => {
    const changes = new Map<HoldingRole, Set<string>>() // one walk gives one object for one role
    // All roles, and not only those that clients ask today: a scope that is widened must not bring a tag back.
    const roles = await allRoles(standing)
    for (const tag of wish.tags) {
      const holders = roles.filter(({ file }) => file?.targets.has(tag))
      const able = holders.filter(({ authority }) => wish.canSign(authority))
      wish.told(tag, names(able), names(holders.filter((role) => !able.includes(role))))
      for (const role of able) changes.set(role, (changes.get(role) ?? new Set<string>()).add(tag))
    }
    const making = { codec: standing.codec, clock: wish.clock }
    return [...changes].map(([role, remove]) => editOf(role, { remove }, making))
  }
}

/** The next version of a role that holds tags. */
export function editOf(
  { name, authority, file, version: published }: HoldingRole,
  change: Parameters<typeof nextTargets>[1],
  { codec, clock }: { readonly codec: Codec; readonly clock: () => number },
): Edit {
  const lifetime = lifetimeIn(authority) ?? customsOf(codec).lifetimes.targets
  const context = { codec, expires: clock() + lifetime }
  const body: Targets =
    file === undefined
      ? { ...firstTargets(change, context), version: version(published + 1) }
      : nextTargets(file, change, context)
  return { role: name, body, authorities: [authority] }
}

function refuseChanged(
  { repository }: SignWish,
  { asked }: Place,
  tag: string,
  target: TargetFile,
  before: Map<string, string | undefined>,
): void {
  const signed = holderOf(asked, tag)?.file?.targets.get(tag)
  const now = signed === undefined ? undefined : digestOf({ path: tag, target: signed })
  if (!before.has(tag)) before.set(tag, now)
  const wanted = digestOf({ path: tag, target })
  if (now === undefined || now === wanted || now === before.get(tag)) return
  throw new PublishError('TAG_CHANGED', { image: `${repository}:${tag}`, wanted, signed: now })
}

/** Signed already as it should be, where clients find it first, and for long enough. */
function isSettled(place: Place, tag: string, target: TargetFile, codec: Codec, now: number): boolean {
  const { role, asked, counts } = place
  const holder = holderOf(counts ? asked : [role], tag)
  const signed = holder?.file?.targets.get(tag)
  if (holder !== role || signed === undefined || role.file === undefined) return false
  const same =
    signed.length === target.length && digestOf({ path: tag, target: signed }) === digestOf({ path: tag, target })
  return same && !isDue(codec, 'targets', role.file.expires, now, lifetimeIn(role.authority))
}

function names(roles: readonly HoldingRole[]): readonly RoleName[] {
  return roles.map(({ name }) => name)
}
