/** Letting other keys sign some tags, as plans to publish. */
import { withDelegation, withoutDelegation } from '../../tuf/index.ts'
import type {
  Authority,
  DelegatedRole,
  PublicKey,
  RoleName,
  Scope,
  Suite,
  TargetFile,
  Unknown,
} from '../../tuf/index.ts'
import { PublishError } from './errors.ts'
import { customsOf } from './customs.ts'
import { coveredInBins, isOwner, lastOf } from './layout.ts'
import type { Edit, Plan } from './edit.ts'
import { withLifetime } from './lifetime.ts'
import { allRoles } from './standing.ts'
import type { HoldingRole } from './standing.ts'
import { editOf } from './tags.ts'

type Making = { readonly clock: () => number }

export type DelegationWish = {
  readonly repository: string
  readonly role: RoleName
  /** Added to those the role has. */
  readonly keys: readonly PublicKey[]
  /** undefined leaves what the role has; for a new role it is 1. */
  readonly threshold: number | undefined
  /** The tags it may sign; for a role that is there already only where it `replacesScope`. */
  readonly scope: Scope
  readonly replacesScope: boolean
  readonly terminating: boolean
  /** How long its files live, in seconds; undefined leaves what the role has. */
  readonly lifetime: number | undefined
  readonly canSign: (authority: Authority) => boolean
  /** Told what the role may do once this is in place, with what it had before; nothing is published where it throws. */
  readonly found: (made: DelegationMade) => void
}

/** A role as it would be, where it stands, and all the others. */
export type DelegationMade = DelegatedPlace & {
  readonly wanted: WantedRole
  readonly roles: readonly HoldingRole[]
}

/** A role and the entry for it in the file of whoever delegates to it. */
export type DelegatedPlace = { readonly parent: HoldingRole; readonly entry: DelegatedRole | undefined }

/** Where a role is delegated, or would be: `a/b` below the role `a` if there is one, everything else below targets. */
export function placeOf(roles: readonly HoldingRole[], name: RoleName): DelegatedPlace {
  for (const parent of roles) {
    const entry = parent.file?.delegations?.roles.find((role) => role.name === name)
    if (entry !== undefined) return { parent, entry }
  }
  const [targets] = roles
  const prefixes = roles.filter((role) => name.startsWith(`${role.name}/`))
  const parent = prefixes.toSorted((a, b) => b.name.length - a.name.length)[0] ?? targets
  if (parent === undefined) throw new Error('targets is always there')
  return { parent, entry: undefined }
}

export function planDelegation(wish: DelegationWish, { clock }: Making): Plan {
  return async (standing) => {
    const making = { codec: standing.codec, clock }
    const roles = await allRoles(standing)
    const { parent, entry } = placeOf(roles, wish.role)
    const only = customsOf(standing.codec).parentOf(wish.role)
    if (only !== undefined && only !== parent.name) {
      throw new PublishError('UNKNOWN_ROLE', { repository: wish.repository, role: only })
    }
    if (entry === undefined && wish.keys.length === 0) {
      throw new PublishError('UNKNOWN_ROLE', { repository: wish.repository, role: wish.role })
    }
    const wanted = wantedRole(wish, parent, entry, standing.suite)
    wish.found({ wanted, parent, entry, roles })
    if (entry !== undefined && sameRole(entry, wanted)) return []
    const delegated = parent.file?.delegations
    const delegations = withDelegation(delegated, wanted, lastOf(delegated?.roles))
    const covered = isOwner(parent)
      ? coveredInBins(roles, wanted.scope, standing.suite)
      : new Map<HoldingRole, ReadonlyMap<string, TargetFile>>()
    const moved = new Map([...covered.values()].flatMap((tags) => [...tags]))
    const edit = editOf(parent, { delegations, set: moved }, making)
    const emptied = [...covered].map(([bin, tags]) => editOf(bin, { remove: new Set(tags.keys()) }, making))
    // A higher threshold asks for more signatures on what the role already published.
    const held = roles.find(({ name }) => name === wish.role)
    const more = entry !== undefined && wanted.threshold > entry.threshold && held?.file !== undefined
    const authority = authorityIn(edit, wish.role)
    return more && held !== undefined && wish.canSign(authority)
      ? [edit, ...emptied, editOf({ ...held, authority }, {}, making)]
      : [edit, ...emptied]
  }
}

export type KeyRemoval = {
  readonly repository: string
  readonly role: RoleName
  /** Whether a key of the role is one of those that go. */
  readonly isMeant: (key: PublicKey) => boolean
  readonly canSign: (authority: Authority) => boolean
  /** Told the keys that go. */
  readonly found: (keys: readonly PublicKey[]) => void
}

/**
 * The role without some of its keys, at the threshold that it has. What it published is signed again by the others where
 * they are here. Throws UNKNOWN_ROLE, KEY_NOT_IN_ROLE, and TOO_FEW_KEYS where the others could not meet the threshold.
 */
export function planKeyRemoval(wish: KeyRemoval, { clock }: Making): Plan {
  let gone = false
  return async (standing) => {
    const { repository, role } = wish
    const roles = await allRoles(standing)
    const { parent, entry } = placeOf(roles, role)
    if (entry === undefined) throw new PublishError('UNKNOWN_ROLE', { repository, role })
    const { delegations } = publishedOf(parent)
    const keys = entry.keyids.flatMap((id) => delegations?.keys.get(id) ?? [])
    const [leaving, left] = [keys.filter(wish.isMeant), keys.filter((key) => !wish.isMeant(key))]
    if (leaving.length === 0 && gone) return []
    if (leaving.length === 0) throw new PublishError('KEY_NOT_IN_ROLE', { repository, role, key: 'that was named' })
    gone = true
    wish.found(leaving)
    if (left.length < entry.threshold) {
      throw new PublishError('TOO_FEW_KEYS', { repository, role, threshold: entry.threshold, left: left.length })
    }
    const making = { codec: standing.codec, clock }
    const edit = editOf(parent, { delegations: withDelegation(delegations, { ...entry, keys: left }) }, making)
    const held = roles.find(({ name }) => name === role)
    const authority = authorityIn(edit, role)
    return held?.file !== undefined && wish.canSign(authority)
      ? [edit, editOf({ ...held, authority }, {}, making)]
      : [edit]
  }
}

/** `found` is told the tags that leave with the role. Throws UNKNOWN_ROLE where it was never there. */
export function planUndelegation(
  repository: string,
  role: RoleName,
  { clock }: Making,
  found: (tags: readonly string[]) => void,
): Plan {
  let wasThere = false
  return async (standing) => {
    const roles = await allRoles(standing)
    const { parent, entry } = placeOf(roles, role)
    if (entry === undefined && wasThere) return []
    if (entry === undefined) throw new PublishError('UNKNOWN_ROLE', { repository, role })
    wasThere = true
    found([...(roles.find(({ name }) => name === role)?.file?.targets.keys() ?? [])])
    const { delegations } = publishedOf(parent)
    if (delegations === undefined) throw new Error('an entry was found in it')
    const rest = withoutDelegation(delegations, role)
    const left = rest.roles.length === 0 && rest.succinct === undefined ? null : rest
    return [editOf(parent, { delegations: left }, { codec: standing.codec, clock })]
  }
}

/** Who signs a delegated role once this edit of its delegator is in place. */
export function authorityIn({ body }: Edit, name: RoleName): Authority {
  const delegations = body.type === 'targets' ? body.delegations : undefined
  const role = delegations?.roles.find((each) => each.name === name)
  if (delegations === undefined || role === undefined) throw new Error(`the edit does not delegate ${name}`)
  return { name, role, keys: delegations.keys }
}

/** A delegator that was found by its file. */
export function publishedOf({ file, name }: HoldingRole) {
  if (file === undefined) throw new Error(`${name} is not published`)
  return file
}

const NOTHING: Unknown = new Map()

export type WantedRole = Parameters<typeof withDelegation>[1]

function wantedRole(
  wish: DelegationWish,
  parent: HoldingRole,
  entry: DelegatedRole | undefined,
  suite: Suite,
): WantedRole {
  const known = parent.file?.delegations?.keys
  const before = entry?.keyids.flatMap((id) => known?.get(id) ?? []) ?? []
  const identities = new Set(before.map((key) => suite.open(key)?.identity))
  const added = wish.keys.filter((key) => !identities.has(suite.open(key)?.identity))
  return {
    name: wish.role,
    keys: [...before, ...added],
    threshold: wish.threshold ?? entry?.threshold ?? 1,
    scope: wish.replacesScope ? wish.scope : (entry?.scope ?? wish.scope),
    terminating: wish.terminating || entry?.terminating === true,
    unknown:
      wish.lifetime === undefined
        ? (entry?.unknown ?? NOTHING)
        : withLifetime(entry?.unknown ?? NOTHING, wish.lifetime),
  }
}

function sameRole(entry: DelegatedRole, wanted: WantedRole): boolean {
  const facts = (
    { threshold, scope, terminating, unknown = NOTHING }: WantedRole | DelegatedRole,
    keyids: readonly string[],
  ) => JSON.stringify([threshold, scope, terminating, keyids, [...unknown]])
  return (
    facts(entry, entry.keyids) ===
    facts(
      wanted,
      wanted.keys.map(({ id }) => id),
    )
  )
}
