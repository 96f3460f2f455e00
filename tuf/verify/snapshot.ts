import { TrustError } from '../errors.ts'
import { ROOT, SNAPSHOT, TARGETS } from '../model/ids.ts'
import type { Snapshot, Targets, Verified } from '../model/metadata.ts'
import { allowedBytes, refuseExpired, refuseLarger, refuseMismatch, refuseRollback } from './checks.ts'
import { authorityOf } from '../codec/authority.ts'
import { listedRoles } from './delegations.ts'
import type { AfterSnapshot, AfterTimestamp } from './states.ts'
import { verifyThreshold } from './threshold.ts'

/**
 * The snapshot that the timestamp announced. Every role that `previous` listed must still be listed, at no lower
 * version; for that check `previous` may have expired and need not match the timestamp any more.
 */
export function acceptSnapshot(trust: AfterTimestamp, bytes: Uint8Array, previous?: Verified<Snapshot>): AfterSnapshot {
  const announced = trust.timestamp.snapshot
  refuseLarger(SNAPSHOT, bytes, allowedBytes(announced.length, trust.limits.snapshot)) // 5.5.1
  refuseMismatch(SNAPSHOT, announced, bytes, trust.suite) // 5.5.2
  const candidate = trust.codec.decode('snapshot', bytes, trust)
  const snapshot = verifyThreshold(authorityOf(trust.root, SNAPSHOT), candidate, trust.suite) // 5.5.3
  refuseOtherVersion(announced.version, snapshot.version) // 5.5.4
  if (previous !== undefined) refuseRolesBack(previous, snapshot) // 5.5.5
  if (trust.codec.snapshotListsRoot) refuseOtherRoot(trust, snapshot)
  refuseExpired(SNAPSHOT, snapshot.expires, trust.now) // 5.5.6
  return { ...trust, snapshot }
}

/** A dialect whose timestamp lists no version relies on the hash, checked above. */
function refuseOtherVersion(expected: number | undefined, got: number): void {
  if (expected === undefined || expected === got) return
  throw new TrustError('VERSION_MISMATCH', { role: SNAPSHOT, expected, got })
}

/** Who signs such a snapshot says which root it goes with: signatures that the root could do without count here. */
function refuseOtherRoot({ rootBytes, suite }: AfterTimestamp, { meta }: Snapshot): void {
  const listed = meta.get(ROOT)
  if (listed === undefined) throw new TrustError('ROLE_NOT_LISTED', { role: ROOT })
  refuseMismatch(ROOT, listed, rootBytes, suite)
}

function refuseRolesBack(trusted: Snapshot, got: Snapshot): void {
  refuseRollback(SNAPSHOT, trusted.version, got.version)
  for (const [role, { version: before }] of trusted.meta) {
    if (before === undefined) continue
    const now = got.meta.get(role)
    if (now === undefined) throw new TrustError('ROLE_DISAPPEARED', { role, trusted: before })
    refuseRollback(role, before, now.version)
  }
}

/**
 * A dialect whose snapshot lists no versions lets roles leave it, for that is how a delegation ends. As long as the
 * snapshot lists the very targets that were trusted, none did: without this, who holds the online keys could silence a
 * role, and have an older digest of a tag answer from another one. Throws ROLE_DISAPPEARED.
 */
export function refuseSilenced(
  { snapshot, suite, codec }: AfterSnapshot,
  previous: Verified<Snapshot>,
  targets: { readonly bytes: Uint8Array; readonly file: Verified<Targets> },
): void {
  const sha256 = snapshot.meta.get(TARGETS)?.hashes?.get('sha256')
  if (sha256 === undefined || sha256 !== suite.hash('sha256', targets.bytes)) return
  for (const role of listedRoles(targets.file)) {
    const wasHeard = codec.isSilent?.(TARGETS, role, previous) === false
    if (wasHeard && !snapshot.meta.has(role.name)) {
      throw new TrustError('ROLE_DISAPPEARED', { role: role.name, trusted: previous.version })
    }
  }
}
