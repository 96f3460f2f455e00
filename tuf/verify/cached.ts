import { authorityOf } from '../codec/authority.ts'
import { TrustError } from '../errors.ts'
import { roleName } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import type { MetadataOf, Snapshot, Targets, Timestamp, Verified } from '../model/metadata.ts'
import type { AfterRoot } from './states.ts'
import { delegatedAuthority } from './targets.ts'
import { verifyThreshold } from './threshold.ts'

/**
 * A cached file judged by today's root: undefined when it is damaged or its keys were replaced.
 * Expiry and hashes are not looked at: an old file still says which versions were already seen.
 */
export function stillTrusted(trust: AfterRoot, role: 'timestamp', bytes: Uint8Array): Verified<Timestamp> | undefined
export function stillTrusted(trust: AfterRoot, role: 'snapshot', bytes: Uint8Array): Verified<Snapshot> | undefined
export function stillTrusted(trust: AfterRoot, role: 'targets', bytes: Uint8Array): Verified<Targets> | undefined
export function stillTrusted(
  trust: AfterRoot,
  role: 'timestamp' | 'snapshot' | 'targets',
  bytes: Uint8Array,
): Verified<MetadataOf<typeof role>> | undefined {
  const authority = authorityOf(trust.root, roleName(role))
  return unlessRefused(() => verifyThreshold(authority, trust.codec.decode(role, bytes, trust), trust.suite))
}

/** The same for a delegated role, by the keys that its delegator names today. */
export function stillDelegated(
  trust: AfterRoot,
  role: RoleName,
  delegator: Targets,
  bytes: Uint8Array,
): Verified<Targets> | undefined {
  const authority = delegatedAuthority(delegator, role)
  return unlessRefused(() => verifyThreshold(authority, trust.codec.decode('targets', bytes, trust), trust.suite))
}

function unlessRefused<T>(verify: () => T): T | undefined {
  try {
    return verify()
  } catch (error) {
    if (error instanceof TrustError) return undefined
    throw error
  }
}
