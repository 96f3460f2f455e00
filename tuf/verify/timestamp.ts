import { SNAPSHOT, TIMESTAMP } from '../model/ids.ts'
import type { Timestamp, Verified } from '../model/metadata.ts'
import { refuseExpired, refuseLarger, refuseRollback } from './checks.ts'
import { authorityOf } from '../codec/authority.ts'
import type { AfterRoot, AfterTimestamp } from './states.ts'
import { verifyThreshold } from './threshold.ts'

/**
 * The received timestamp, or the previous one where it says the same version: a second file under one version must
 * not replace the first. `previous` must have been verified against today's root, and may have expired.
 */
export function acceptTimestamp(trust: AfterRoot, bytes: Uint8Array, previous?: Verified<Timestamp>): AfterTimestamp {
  refuseLarger(TIMESTAMP, bytes, trust.limits.timestamp) // 5.4.1
  const candidate = trust.codec.decode('timestamp', bytes, trust)
  const fresh = verifyThreshold(authorityOf(trust.root, TIMESTAMP), candidate, trust.suite) // 5.4.2
  const timestamp = previous === undefined ? fresh : newerOf(previous, fresh) // 5.4.3
  refuseExpired(TIMESTAMP, timestamp.expires, trust.now) // 5.4.4
  return { ...trust, timestamp }
}

function newerOf(trusted: Verified<Timestamp>, got: Verified<Timestamp>): Verified<Timestamp> {
  if (got.version === trusted.version) return trusted
  refuseRollback(TIMESTAMP, trusted.version, got.version)
  refuseRollback(SNAPSHOT, trusted.snapshot.version, got.snapshot.version)
  return got
}
