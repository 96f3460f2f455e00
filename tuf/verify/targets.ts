import { TrustError } from '../errors.ts'
import type { Authority } from '../model/authority.ts'
import { TARGETS } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import type { FileMeta, Root, Targets, Verified } from '../model/metadata.ts'
import { repositoryOf } from '../model/repository.ts'
import { allowedBytes, refuseExpired, refuseLarger, refuseMismatch, refuseRollback } from './checks.ts'
import { delegationTo } from './delegations.ts'
import { authorityOf } from '../codec/authority.ts'
import type { AfterSnapshot, AfterTargets } from './states.ts'
import { verifyThreshold } from './threshold.ts'

/** The top-level targets that the snapshot lists (5.6.1 to 5.6.6). */
export function acceptTargets(trust: AfterSnapshot, bytes: Uint8Array, previous?: Verified<Targets>): AfterTargets {
  return { ...trust, targets: acceptListed(trust, authorityOf(trust.root, TARGETS), bytes, previous) }
}

/** A delegated role, by the keys of the delegator through whom the search reached it, whoever else delegates to it. */
export function acceptDelegated(
  trust: AfterTargets,
  role: RoleName,
  delegator: Verified<Targets>,
  bytes: Uint8Array,
  previous?: Verified<Targets>,
): Verified<Targets> {
  return acceptListed(trust, delegatedAuthority(delegator, role), bytes, previous)
}

/** Who may sign a delegated role, by this delegator's word. Throws ROLE_NOT_LISTED where it delegates no such role. */
export function delegatedAuthority(delegator: Targets, name: RoleName): Authority {
  const role = delegationTo(delegator, name)
  if (role === undefined || delegator.delegations === undefined) throw new TrustError('ROLE_NOT_LISTED', { role: name })
  return { name, role, keys: delegator.delegations.keys }
}

/** What the snapshot says of a role's file. */
export function listedMeta(trust: AfterSnapshot, role: RoleName): FileMeta {
  const meta = trust.snapshot.meta.get(role)
  if (meta === undefined) throw new TrustError('ROLE_NOT_LISTED', { role })
  return meta
}

/** `previous` was signed by the keys of today, and may have expired. */
function acceptListed(
  trust: AfterSnapshot,
  authority: Authority,
  bytes: Uint8Array,
  previous: Verified<Targets> | undefined,
): Verified<Targets> {
  const { name } = authority
  const listed = listedMeta(trust, name)
  refuseLarger(name, bytes, allowedBytes(listed.length, trust.limits.targets)) // 5.6.1
  refuseMismatch(name, listed, bytes, trust.suite) // 5.6.2
  const candidate = trust.codec.decode('targets', bytes, trust)
  const targets = verifyThreshold(authority, candidate, trust.suite) // 5.6.3
  refuseOtherVersion(name, listed, targets) // 5.6.4
  // Where the snapshot lists versions, they were compared with those of the one before (5.5.5).
  if (listed.version === undefined) refuseRollback(name, previous?.version, targets.version)
  refuseOtherRepository(name, trust.root, targets)
  refuseExpired(name, targets.expires, trust.now) // 5.6.5
  return targets
}

function refuseOtherVersion(role: RoleName, listed: FileMeta, got: Targets): void {
  if (listed.version === undefined || listed.version === got.version) return
  throw new TrustError('VERSION_MISMATCH', { role, expected: listed.version, got: got.version })
}

/**
 * The same key may sign for many repositories, so that a file of one verifies in all of them: whoever holds the online
 * keys could list it in another. Files of other tools name no repository, and are as safe as their keys are apart.
 */
export function refuseOtherRepository(role: RoleName, root: Root, got: Targets): void {
  const [repository, named] = [repositoryOf(root), repositoryOf(got)]
  if (repository === undefined || named === undefined || named === repository) return
  throw new TrustError('OTHER_REPOSITORY', { role, repository, named })
}
