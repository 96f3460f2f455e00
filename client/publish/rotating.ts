/** Replacing the keys of a role, as plans to publish. What the leaving keys signed is issued again in the same publish. */
import { authorityOf, binNames, keySetOf, nextRoot, roleName, ROOT, TARGETS, withDelegation } from '../../tuf/index.ts'
import type { Authority, Delegations, KeyId, PublicKey, Root, RoleName, Targets, TopRole } from '../../tuf/index.ts'
import { authorityIn, placeOf, publishedOf } from './delegating.ts'
import { PublishError } from './errors.ts'
import { customsOf } from './customs.ts'
import type { Edit, Plan } from './edit.ts'
import { allRoles } from './standing.ts'
import type { HoldingRole, Standing } from './standing.ts'
import { editOf } from './tags.ts'

type Making = {
  readonly clock: () => number
  /** Of the tags in a file, those that are not to be signed again. `family` are the roles under the same keys. */
  readonly leaveOut: (file: Targets, family: ReadonlySet<RoleName>) => Promise<ReadonlySet<string>>
  /** Whose signatures a new root has besides those that it needs. */
  readonly alsoBy: readonly Authority[]
}
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

/** Rotates one of the four top-level roles. With the keys that it has, the root only lives longer. */
export function planTopRotation(role: TopRole, wanted: NewKeys, making: Making): Plan {
  let first: number | undefined
  return async (standing) => {
    const { root } = standing
    first ??= root.version
    if (root.version > first && sameKeys(keySetOf(root, roleName(role)).keys, wanted.keys)) return []
    const { codec } = standing
    const expires = making.clock() + customsOf(codec).lifetimes.root
    const next = nextRoot(root, { [role]: wanted }, { codec, expires })
    standing.codec.rootAuthority(next, standing) // or it would be a root that nobody takes
    const authorities = [authorityOf(root, ROOT), authorityOf(next, ROOT), ...making.alsoBy]
    const edit: Edit = { role: ROOT, body: next, authorities }
    return role === 'targets' ? [edit, ...(await reissued(standing, next, making))] : [edit]
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
    const remove = await making.leaveOut(held.file, new Set([role]))
    return [edit, editOf({ ...held, authority: authorityIn(edit, role) }, { remove }, context)]
  }
}

/**
 * Targets under the new keys; and every role that was under the very keys of targets by the word of one of these, as
 * hash bins are: whoever stole the old ones could still sign those. One that never published has only its entry changed.
 */
export async function reissued(standing: Standing, next: Root, making: Making): Promise<readonly Edit[]> {
  const before = keysOf(authorityOf(standing.root, TARGETS))
  const after = keySetOf(next, TARGETS)
  const following = new Set<RoleName>([TARGETS])
  const edits: Edit[] = []
  const roles = await allRoles(standing)
  const family = new Set(roles.filter(({ authority }) => sameKeys(keysOf(authority), before)).map(({ name }) => name))
  // Whoever delegates comes before the role it delegates to.
  for (const role of roles) {
    if (!following.has(role.name) || role.file === undefined) continue
    const { delegations } = role.file
    for (const name of delegations === undefined ? [] : namesUnder(delegations, before)) following.add(name)
    const authority = role.name === TARGETS ? authorityOf(next, TARGETS) : underKeys(role.authority, after)
    const remove = await making.leaveOut(role.file, family)
    const change = delegations === undefined ? {} : { delegations: rekeyed(delegations, before, after) }
    edits.push(editOf({ ...role, authority }, { ...change, remove }, { codec: standing.codec, clock: making.clock }))
  }
  return edits
}

function namesUnder(delegations: Delegations, keys: readonly PublicKey[]): readonly RoleName[] {
  const { roles, succinct } = delegations
  const named = roles.filter(({ keyids }) => isUnder(delegations, keyids, keys)).map(({ name }) => name)
  return succinct !== undefined && isUnder(delegations, succinct.keyids, keys)
    ? [...named, ...binNames(succinct)]
    : named
}

function isUnder(delegations: Delegations, keyids: readonly KeyId[], keys: readonly PublicKey[]): boolean {
  return sameKeys(
    keyids.flatMap((id) => delegations.keys.get(id) ?? []),
    keys,
  )
}

function rekeyed(delegations: Delegations, before: readonly PublicKey[], after: NewKeys): Delegations {
  const isOld = (keyids: readonly KeyId[]) => isUnder(delegations, keyids, before)
  const { succinct } = delegations
  const keyids = after.keys.map(({ id }) => id)
  const roles = delegations.roles.map((role) => (isOld(role.keyids) ? { ...role, keyids } : role))
  const bins = succinct !== undefined && isOld(succinct.keyids) ? { succinct: { ...succinct, keyids } } : {}
  const all = new Map([...delegations.keys, ...after.keys.map((key) => [key.id, key] as const)])
  const used = new Set([...roles.flatMap((role) => role.keyids), ...((bins.succinct ?? succinct)?.keyids ?? [])])
  return { ...delegations, roles, ...bins, keys: new Map([...all].filter(([id]) => used.has(id))) }
}

function underKeys({ name, role }: Authority, { keys }: NewKeys): Authority {
  return { name, role: { ...role, keyids: keys.map(({ id }) => id) }, keys: new Map(keys.map((key) => [key.id, key])) }
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
