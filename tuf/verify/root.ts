import { TrustError } from '../errors.ts'
import { ROOT, SNAPSHOT, TIMESTAMP } from '../model/ids.ts'
import type { Root, Signed } from '../model/metadata.ts'
import { refuseExpired, refuseLarger } from './checks.ts'
import type { AfterRoot, Judge, WalkingRoot } from './states.ts'
import { verifyThreshold } from './threshold.ts'

/** The root to start from: signed by itself. Its expiry does not matter yet (5.2, 5.3.6). */
export function openRoot(judge: Judge, bytes: Uint8Array): WalkingRoot {
  const candidate = decodeRoot(judge, bytes)
  const root = verifyThreshold(judge.codec.rootAuthority(candidate.body, judge), candidate, judge.suite)
  return { ...judge, root, rootBytes: bytes }
}

/** The next link of the chain: exactly one version up, and signed as both the old and the new root demand. */
export function acceptRoot(trust: WalkingRoot, bytes: Uint8Array): WalkingRoot {
  const candidate = decodeRoot(trust, bytes)
  const { codec, suite } = trust
  verifyThreshold(codec.rootAuthority(trust.root, trust), candidate, suite) // 5.3.4, the old threshold
  const root = verifyThreshold(codec.rootAuthority(candidate.body, trust), candidate, suite) // 5.3.4, the new one
  refuseOtherVersion(trust.root.version + 1, root.version) // 5.3.5
  return { ...trust, root, rootBytes: bytes }
}

/** The chain ends here, so this root must be alive (5.3.10), and so must be the keys that signed it. */
export function finishRoot(trust: WalkingRoot): AfterRoot {
  refuseExpired(ROOT, trust.root.expires, trust.now)
  const living = trust.codec.livingRootAuthority?.(trust.root, trust)
  if (living !== undefined) verifyThreshold(living, decodeRoot(trust, trust.rootBytes), trust.suite)
  return { ...trust, rootIsFinal: true }
}

/**
 * The online keys of a root as one text. When it differs from the text that was kept with a cached timestamp and
 * snapshot, both must be dropped: their versions may be a thief's (5.3.11, recovery from fast-forward).
 */
export function onlineKeys(root: Root): string {
  return [TIMESTAMP, SNAPSHOT]
    .map((name) => `${name}=${root.roles.get(name)?.keyids.toSorted().join(',') ?? ''}`)
    .join(' ')
}

function decodeRoot(judge: Judge, bytes: Uint8Array): Signed<Root> {
  refuseLarger(ROOT, bytes, judge.limits.root) // 5.3.3
  return judge.codec.decode('root', bytes, judge)
}

function refuseOtherVersion(expected: number, got: number): void {
  if (got < expected) throw new TrustError('ROLLBACK', { role: ROOT, trusted: expected - 1, got })
  if (got > expected) throw new TrustError('VERSION_MISMATCH', { role: ROOT, expected, got })
}
