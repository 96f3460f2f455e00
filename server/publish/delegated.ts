import {
  TARGETS,
  acceptDelegated,
  delegatedAuthority,
  isTrustError,
  listedRoles,
  verifyThreshold,
  regardlessOfExpiry,
} from '../../tuf/index.ts'
import type { AfterTargets, RoleName, Targets, Verified } from '../../tuf/index.ts'
import { Problem } from '../problem.ts'
import type { RepositoryState } from '../storage/store.ts'

/** The state that a publish would make: what was uploaded, and the stored rest. */
export type NextFiles = {
  /** Delegated roles only. */
  readonly uploaded: ReadonlyMap<RoleName, Uint8Array>
  /** Stored delegated roles that delegate further, and were not uploaded. */
  readonly delegators: readonly RoleName[]
  /** The stored file of a role that was not uploaded. */
  readonly stored: (role: RoleName) => Promise<Uint8Array | undefined>
}

export type AcceptedRole = { readonly delegator: Verified<Targets>; readonly file: Verified<Targets> }

/**
 * Accepts every uploaded delegated role by the keys of the delegator nearest to `targets`, the first listed among
 * equals: a role further down that delegates to the same name cannot take it over. Throws INVALID_ROLE for a role that
 * nobody delegates to, and TrustError.
 *
 * Looks at no more files than it must to find those delegators: a stored role without delegations is never opened.
 */
export async function acceptUploaded(
  trust: AfterTargets,
  next: NextFiles,
): Promise<ReadonlyMap<RoleName, AcceptedRole>> {
  const accepted = new Map<RoleName, AcceptedRole>()
  const wanted = new Set<RoleName>([...next.uploaded.keys(), ...next.delegators])
  const delegators: Verified<Targets>[] = [trust.targets]
  for (let delegator = delegators.shift(); delegator !== undefined; delegator = delegators.shift()) {
    if (accepted.size === next.uploaded.size) break
    for (const role of delegatedAmong(delegator, wanted)) {
      wanted.delete(role)
      const file = await fileOf(trust, next, role, delegator)
      if (next.uploaded.has(role) && file !== undefined) accepted.set(role, { delegator, file })
      if (file?.delegations !== undefined) delegators.push(file)
    }
  }
  for (const role of next.uploaded.keys()) {
    if (!accepted.has(role)) throw new Problem('INVALID_ROLE', { role, reason: 'no role delegates to it' })
  }
  return accepted
}

async function fileOf(
  trust: AfterTargets,
  { uploaded, stored }: NextFiles,
  role: RoleName,
  delegator: Verified<Targets>,
): Promise<Verified<Targets> | undefined> {
  const bytes = uploaded.get(role)
  if (bytes !== undefined) return acceptDelegated(trust, role, delegator, bytes)
  const kept = await stored(role)
  // That a file which this upload does not replace has expired is its own signers' business. Clients do look at it.
  return kept && trusted(() => acceptDelegated(regardlessOfExpiry(trust), role, delegator, kept))
}

/**
 * Roles whose stored files the new delegations do not vouch for any more: their keys were replaced and nobody has
 * signed them anew. That must be possible, for it is how a stolen key is shut out before its owner wakes up; clients
 * refuse those files until then.
 */
export async function leftBehind(
  trust: AfterTargets,
  delegators: Iterable<{ readonly file: Targets; readonly previous: Targets | undefined }>,
  stored: ReadonlySet<RoleName>,
  load: NextFiles['stored'],
): Promise<readonly RoleName[]> {
  const left = new Set<RoleName>()
  for (const { file, previous } of delegators) {
    for (const role of delegatedAmong(file, stored)) {
      if (sameKeys(previous, file, role)) continue
      const bytes = await load(role)
      if (bytes !== undefined && !vouchesFor(trust, file, role, bytes)) left.add(role)
    }
  }
  return [...left].sort()
}

/**
 * Uploaded roles that begin anew below their stored version, because the stored file counts no more. Throws VERSION for
 * one whose stored file still does.
 */
export async function begunAnew(
  trust: AfterTargets,
  accepted: ReadonlyMap<RoleName, AcceptedRole>,
  state: RepositoryState | undefined,
  load: NextFiles['stored'],
): Promise<readonly RoleName[]> {
  const anew: RoleName[] = []
  for (const [role, { delegator, file }] of accepted) {
    const current = state?.files.get(role)?.version ?? 0
    if (file.version > current) continue
    const bytes = await load(role)
    if (bytes !== undefined && vouchesFor(trust, delegator, role, bytes)) {
      throw new Problem('VERSION', { role, current, got: file.version })
    }
    anew.push(role)
  }
  return anew
}

function vouchesFor(trust: AfterTargets, delegator: Targets, role: RoleName, bytes: Uint8Array): boolean {
  const signed = () => trust.codec.decode('targets', bytes, trust)
  return trusted(() => verifyThreshold(delegatedAuthority(delegator, role), signed(), trust.suite)) !== undefined
}

/** Key ids are made of the keys, so equal ids are equal keys. */
function sameKeys(previous: Targets | undefined, next: Targets, role: RoleName): boolean {
  const [before, after] = [previous && keysText(previous, role), keysText(next, role)]
  return before !== undefined && before === after
}

function keysText(delegator: Targets, name: RoleName): string | undefined {
  const authority = trusted(() => delegatedAuthority(delegator, name))
  return authority && `${authority.role.threshold} of ${authority.role.keyids.toSorted().join(' ')}`
}

/** In the order of the search. Bins are too many to be listed, so there it is the other way round. */
function delegatedAmong(delegator: Targets, names: ReadonlySet<RoleName>): readonly RoleName[] {
  const listed = listedRoles(delegator).map(({ name }) => name)
  if (delegator.delegations?.succinct === undefined) return listed.filter((name) => names.has(name))
  return [...names].filter(
    (name) => name !== TARGETS && trusted(() => delegatedAuthority(delegator, name)) !== undefined,
  )
}

/** What `accept` gives, or undefined where it does not trust. */
function trusted<T>(accept: () => T): T | undefined {
  try {
    return accept()
  } catch (error) {
    if (isTrustError(error)) return undefined
    throw error
  }
}
