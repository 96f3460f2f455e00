/** Replacing the keys of a role, as plans to publish. What the leaving keys signed is issued again in the same publish. */
import { isDeepStrictEqual } from 'node:util'
import {
  authorityOf,
  binNames,
  keySetOf,
  nextRoot,
  roleName,
  ROOT,
  TARGETS,
  threshold,
  withDelegation,
} from '../../tuf/index.ts'
import type {
  Authority,
  DelegatedRole,
  Delegations,
  KeyId,
  PublicKey,
  Root,
  RoleName,
  SuccinctRoles,
  Threshold,
  TopRole,
} from '../../tuf/index.ts'
import { authorityIn, placeOf, publishedOf } from './delegating.ts'
import { PublishError } from './errors.ts'
import { customsOf } from './customs.ts'
import type { Edit, Plan } from './edit.ts'
import { isOwners } from './layout.ts'
import type { Sifted } from './sifting.ts'
import { allRoles } from './standing.ts'
import type { HoldingRole, Standing } from './standing.ts'
import { editOf } from './tags.ts'

type Making = {
  readonly clock: () => number
  /** What of each file is signed again. `family` are the roles whose files are. */
  readonly sift: (standing: Standing, family: readonly HoldingRole[]) => Promise<Sift>
  /** Whose signatures a new root has besides those that it needs. */
  readonly alsoBy: readonly Authority[]
}
export type Sift = (role: HoldingRole) => Sifted
export type NewKeys = { readonly keys: readonly PublicKey[]; readonly threshold: number }

/** What is in force for a role now. Throws UNKNOWN_ROLE. */
export async function keysInForce(standing: Standing, repository: string, role: RoleName): Promise<NewKeys> {
  const { authority } = await findRole(standing, repository, role)
  return { keys: keysOf(authority), threshold: authority.role.threshold }
}

/** Who signs that a role has other keys: root for the four of its own, the delegator for every other. */
export async function replacerOf(standing: Standing, repository: string, role: RoleName): Promise<Authority> {
  if (standing.root.roles.has(role)) return authorityOf(standing.root, ROOT)
  const { parent, entry } = placeOf(await allRoles(standing), role)
  if (entry === undefined) throw new PublishError('UNKNOWN_ROLE', { repository, role })
  return parent.authority
}

/** Rotates top-level roles. With the keys that they have, the root only lives longer. */
export function planTopRotation(wanted: ReadonlyMap<TopRole, NewKeys>, making: Making): Plan {
  let first: number | undefined
  return async (standing) => {
    const { root } = standing
    first ??= root.version
    const isDone = [...wanted].every(([role, { keys }]) => sameKeys(keySetOf(root, roleName(role)).keys, keys))
    if (root.version > first && isDone) return []
    const { codec } = standing
    const expires = making.clock() + customsOf(codec).lifetimes.root
    const next = nextRoot(root, Object.fromEntries(wanted), { codec, expires })
    standing.codec.rootAuthority(next, standing) // or it would be a root that nobody takes
    const authorities = [authorityOf(root, ROOT), authorityOf(next, ROOT), ...making.alsoBy]
    const edit: Edit = { role: ROOT, body: next, authorities }
    return wanted.has('targets') ? [edit, ...(await reissued(standing, next, making))] : [edit]
  }
}

/** Rotates a delegated role: its delegator names the new keys, and they sign what the role says. */
export function planDelegatedRotation(repository: string, role: RoleName, wanted: NewKeys, making: Making): Plan {
  let first: number | undefined
  return async (standing) => {
    const roles = await allRoles(standing)
    const { parent, entry } = placeOf(roles, role)
    const held = roles.find(({ name }) => name === role)
    if (entry === undefined || held === undefined) throw new PublishError('UNKNOWN_ROLE', { repository, role })
    const { version, delegations } = publishedOf(parent)
    first ??= version
    if (version > first && sameKeys(keysOf(held.authority), wanted.keys)) return []
    const context = { codec: standing.codec, clock: making.clock }
    const edit = editOf(parent, { delegations: withDelegation(delegations, { ...entry, ...wanted }) }, context)
    if (held.file === undefined) return [edit]
    const sift = await making.sift(standing, [held])
    return [edit, editOf({ ...held, authority: authorityIn(edit, role) }, changeOf(held, sift(held)), context)]
  }
}

/**
 * Targets under the new keys; and every role that was under the very keys of targets by the word of one of these: whoever
 * stole the old ones could still sign those. One that never published has only its entry changed. Hash bins are the
 * owner's by their name, whatever keys somebody wrote there.
 */
export async function reissued(standing: Standing, next: Root, making: Making): Promise<readonly Edit[]> {
  const before = keySetOf(standing.root, TARGETS)
  const after = keySetOf(next, TARGETS)
  const family = familyOf(await allRoles(standing), before.keys)
  const sift = await making.sift(standing, family)
  const following = new Set<RoleName>([TARGETS])
  return family.flatMap((role) => {
    // Of a delegation that is as it was before, somebody else signs the role.
    if (!following.has(role.name)) return []
    const authority = role.name === TARGETS ? authorityOf(next, TARGETS) : underKeys(role.authority, before, after)
    const change = changeOf(role, sift(role), (delegations) => rekeyed(delegations, before, after))
    for (const name of change.delegations ? namesUnder(change.delegations, after.keys) : []) following.add(name)
    return [editOf({ ...role, authority }, change, { codec: standing.codec, clock: making.clock })]
  })
}

/** What is sifted of a role that keeps its keys, and of those that follow it; nothing of what stays as it is. */
export function planSifting(repository: string, role: RoleName, making: Making): Plan {
  return async (standing) => {
    const changed = new Set<RoleName>()
    const sift: Making['sift'] = async (at, family) => noting(await making.sift(at, family), changed)
    const edits =
      role === TARGETS
        ? await reissued(standing, standing.root, { ...making, sift })
        : await sifted(standing, repository, role, { ...making, sift })
    return edits.filter((edit) => changed.has(edit.role))
  }
}

function noting(sift: Sift, changed: Set<RoleName>): Sift {
  return (role) => {
    const made = sift(role)
    const { targets, delegations } = role.file ?? {}
    const isLess = [...made.remove].some((tag) => targets?.has(tag) === true)
    if (isLess || made.set.size > 0 || !isDeepStrictEqual(made.delegations, delegations)) changed.add(role.name)
    return made
  }
}

async function sifted(
  standing: Standing,
  repository: string,
  role: RoleName,
  making: Making,
): Promise<readonly Edit[]> {
  const held = (await allRoles(standing)).find(({ name }) => name === role)
  if (held === undefined) throw new PublishError('UNKNOWN_ROLE', { repository, role })
  if (held.file === undefined) return []
  const sift = await making.sift(standing, [held])
  return [editOf(held, changeOf(held, sift(held)), { codec: standing.codec, clock: making.clock })]
}

/** The roles with files whose keys follow those of targets; whoever delegates comes before the role it delegates to. */
function familyOf(roles: readonly HoldingRole[], keys: readonly PublicKey[]): readonly HoldingRole[] {
  const following = new Set<RoleName>([TARGETS])
  const family: HoldingRole[] = []
  for (const role of roles) {
    if (!following.has(role.name) || role.file === undefined) continue
    family.push(role)
    const { delegations } = role.file
    for (const name of delegations === undefined ? [] : namesUnder(delegations, keys)) following.add(name)
  }
  return family
}

function changeOf(
  { file }: HoldingRole,
  { set, remove, delegations }: Sifted,
  rekey = (kept: Delegations) => kept,
): Parameters<typeof editOf>[1] {
  if (file?.delegations === undefined && delegations === undefined) return { set, remove }
  const left = delegations === undefined ? undefined : rekey(delegations)
  const isEmpty = left === undefined || (left.roles.length === 0 && left.succinct === undefined)
  return { set, remove, delegations: isEmpty && file?.delegations?.roles.length !== 0 ? null : (left ?? null) }
}

function namesUnder(delegations: Delegations, keys: readonly PublicKey[]): readonly RoleName[] {
  const { roles, succinct } = delegations
  const follows = ({ name, keyids }: DelegatedRole) => isOwners(name) || isUnder(delegations, keyids, keys)
  const named = roles.filter(follows).map(({ name }) => name)
  return succinct !== undefined && areOwners(delegations, succinct, keys) ? [...named, ...binNames(succinct)] : named
}

function areOwners(delegations: Delegations, bins: SuccinctRoles, keys: readonly PublicKey[]): boolean {
  return binNames(bins).every(isOwners) || isUnder(delegations, bins.keyids, keys)
}

function isUnder(delegations: Delegations, keyids: readonly KeyId[], keys: readonly PublicKey[]): boolean {
  return sameKeys(
    keyids.flatMap((id) => delegations.keys.get(id) ?? []),
    keys,
  )
}

function rekeyed(delegations: Delegations, before: NewKeys, after: NewKeys): Delegations {
  const isOld = ({ name, keyids }: DelegatedRole) => isOwners(name) || isUnder(delegations, keyids, before.keys)
  const { succinct } = delegations
  const keyids = after.keys.map(({ id }) => id)
  const roles = delegations.roles.map((role) =>
    isOld(role) ? { ...role, keyids, threshold: neededOf(role.name, role.threshold, before, after) } : role,
  )
  const follows = succinct !== undefined && areOwners(delegations, succinct, before.keys)
  const needed = follows && neededOf(`${succinct.namePrefix}-0`, succinct.threshold, before, after)
  const bins = follows && needed !== false ? { succinct: { ...succinct, keyids, threshold: needed } } : {}
  const all = new Map([...delegations.keys, ...after.keys.map((key) => [key.id, key] as const)])
  const used = new Set([...roles.flatMap((role) => role.keyids), ...((bins.succinct ?? succinct)?.keyids ?? [])])
  return { ...delegations, roles, ...bins, keys: new Map([...all].filter(([id]) => used.has(id))) }
}

function underKeys({ name, role }: Authority, before: NewKeys, after: NewKeys): Authority {
  const keyids = after.keys.map(({ id }) => id)
  const needed = neededOf(name, role.threshold, before, after)
  return { name, role: { ...role, keyids, threshold: needed }, keys: new Map(after.keys.map((key) => [key.id, key])) }
}

/**
 * Bins ask for as many keys as targets does, and so does a role that did before. A threshold that somebody wrote beside
 * keys of his own may be one that these could not meet.
 */
function neededOf(name: string, own: Threshold, before: NewKeys, after: NewKeys): Threshold {
  const follows = isOwners(name) || own === before.threshold || own > after.keys.length
  return follows ? threshold(after.threshold) : own
}

/** Of the file that says who signs a role: no two rotations of a role begin at the same one. */
export async function listingVersion(standing: Standing, role: RoleName): Promise<number> {
  if (standing.root.roles.has(role)) return standing.root.version
  return placeOf(await allRoles(standing), role).parent.version
}

/** Of the keys of a role, those that leave it when these are its keys. */
export function leaving(before: NewKeys, after: NewKeys): readonly PublicKey[] {
  const kept = new Set(after.keys.map(({ id }) => id))
  return before.keys.filter(({ id }) => !kept.has(id))
}

/** The roles that go on counting what one of these keys signs. */
export async function rolesListing(standing: Standing, keyids: ReadonlySet<string>): Promise<readonly RoleName[]> {
  const top = [...standing.root.roles].filter(([name]) => name !== TARGETS)
  const below = (await allRoles(standing)).map(({ name, authority }) => [name, authority.role] as const)
  return [...top, ...below].filter(([, role]) => role.keyids.some((id) => keyids.has(id))).map(([name]) => name)
}

async function findRole(
  standing: Standing,
  repository: string,
  role: RoleName,
): Promise<Pick<HoldingRole, 'authority'>> {
  const top = standing.root.roles.get(role)
  if (top !== undefined) return { authority: authorityOf(standing.root, role) }
  const found = (await allRoles(standing)).find(({ name }) => name === role)
  if (found === undefined) throw new PublishError('UNKNOWN_ROLE', { repository, role })
  return found
}

function keysOf({ role, keys }: Authority): readonly PublicKey[] {
  return role.keyids.flatMap((id) => keys.get(id) ?? [])
}

/** The same key ids, in whatever order. */
function sameKeys(a: readonly PublicKey[], b: readonly PublicKey[]): boolean {
  const ids = new Set(b.map(({ id }) => id))
  return a.length === b.length && a.every(({ id }) => ids.has(id))
}
