import { TrustError } from '../errors.ts'
import { SNAPSHOT, TIMESTAMP } from '../model/ids.ts'
import type { MetadataOf, Snapshot, Timestamp, Verified } from '../model/metadata.ts'
import { authorityOf } from './root.ts'
import type { AfterRoot } from './states.ts'
import { verifyThreshold } from './threshold.ts'

/**
 * A cached timestamp or snapshot judged by today's root: undefined when it is damaged or its keys were replaced.
 * Expiry and hashes are not looked at: an old file still says which versions were already seen.
 */
export function stillTrusted(trust: AfterRoot, role: 'timestamp', bytes: Uint8Array): Verified<Timestamp> | undefined
export function stillTrusted(trust: AfterRoot, role: 'snapshot', bytes: Uint8Array): Verified<Snapshot> | undefined
export function stillTrusted(
  trust: AfterRoot,
  role: 'timestamp' | 'snapshot',
  bytes: Uint8Array,
): Verified<MetadataOf<typeof role>> | undefined {
  const authority = authorityOf(trust.root, role === 'timestamp' ? TIMESTAMP : SNAPSHOT)
  try {
    return verifyThreshold(authority, trust.codec.decode(role, bytes, trust), trust.suite)
  } catch (error) {
    if (error instanceof TrustError) return undefined
    throw error
  }
}
