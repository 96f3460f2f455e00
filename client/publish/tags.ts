/** Putting tags in and taking them out, as plans to publish. */
import { delegatedAuthority, firstTargets, nextTargets, version } from '../../tuf/index.ts'
import type { Codec, RoleName, TargetFile, Targets } from '../../tuf/index.ts'
import { digestOf } from '../trust/repository.ts'
import { PublishError } from './errors.ts'
import { BINS, binToRenew, isOwner, keysOfOwner, spreadIfLarge } from './layout.ts'
import { customsOf, isDue } from './customs.ts'
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
      refuseShadowed(place, { ...wish, tag })
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

/** Bins expire one by one: whoever publishes into one also looks after another, and renews it when it is due. */
async function renewal(standing: Standing, edits: readonly Edit[], wish: SignWish): Promise<readonly Edit[]> {
  const [targets, bins] = await rolesFor(standing, [...wish.tags.keys()][0] ?? '')
  if (targets === undefined || bins?.name !== BINS || bins.file === undefined) return []
  const role = binToRenew(bins.file, standing.snapshot.version)
  // What can be published at once must not wait for others because of a bin.
  const waits = edits.some(({ authorities }) => !authorities.every(wish.canSign))
  const able = wish.canSign(bins.authority) || (waits && wish.canHelp(bins.authority))
  if (role === undefined || edits.some((edit) => edit.role === role) || !able) return []
  const { file } = await standing.get({ role, delegator: bins.file })
  if (!isDue(standing.codec, 'targets', file.expires, wish.clock())) return []
  const held = { name: role, authority: delegatedAuthority(bins.file, role), file, version: file.version }
  return [editOf(held, {}, { codec: standing.codec, clock: wish.clock })]
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
  const context = { codec, expires: clock() + customsOf(codec).lifetimes.targets }
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
  return same && !isDue(codec, 'targets', role.file.expires, now)
}

function names(roles: readonly HoldingRole[]): readonly RoleName[] {
  return roles.map(({ name }) => name)
}
