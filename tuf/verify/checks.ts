import { TrustError } from '../errors.ts'
import { instant } from '../model/ids.ts'
import type { Instant } from '../model/ids.ts'
import type { FileMeta, Hashes } from '../model/metadata.ts'
import type { HashName, Suite } from '../model/suite.ts'

const KNOWN: readonly HashName[] = ['sha512', 'sha256']

/** Expired at the very instant it names: a file is good before it, not at it (5.1). */
export function refuseExpired(role: string, expires: Instant, now: Instant): void {
  if (now >= expires) throw new TrustError('EXPIRED', { role, expired: expires, now })
}

/** The same judge for what may have expired: every file is younger. `now` must be put back before the next step. */
export function regardlessOfExpiry<S extends { readonly now: Instant }>(judge: S): S {
  return { ...judge, now: BEFORE_ALL }
}
const BEFORE_ALL = instant(Number.MIN_SAFE_INTEGER)

export function refuseRollback(role: string, trusted: number | undefined, got: number | undefined): void {
  if (trusted !== undefined && (got === undefined || got < trusted)) {
    throw new TrustError('ROLLBACK', { role, trusted, got: got ?? 0 })
  }
}

/** How many bytes a file may have: what was listed, but a listing never lifts our own limit. */
export function allowedBytes(listed: number | undefined, limit: number): number {
  return Math.min(listed ?? limit, limit)
}

export function refuseLarger(what: string, bytes: Uint8Array, limit: number): void {
  if (bytes.length > limit) throw new TrustError('TOO_LARGE', { what, limit })
}

/** The bytes are those that were listed: length first, then every hash we can compute, and at least one of them. */
export function refuseMismatch(what: string, meta: FileMeta, bytes: Uint8Array, suite: Suite): void {
  if (meta.length !== undefined) refuseLength(what, meta.length, bytes.length)
  if (meta.hashes !== undefined) refuseHashes(what, meta.hashes, (name) => suite.hash(name, bytes))
}

export function refuseLength(what: string, expected: number, got: number): void {
  if (expected === got) return
  throw new TrustError('HASH_MISMATCH', { what, algorithm: 'length', expected: String(expected), got: String(got) })
}

/** `compute` is asked once for each hash name that is both listed and known. */
export function refuseHashes(what: string, hashes: Hashes, compute: (name: HashName) => string): void {
  const known = KNOWN.filter((name) => hashes.has(name))
  if (known.length === 0) throw new TrustError('NO_KNOWN_HASH', { what, algorithms: [...hashes.keys()].join(', ') })
  for (const algorithm of known) {
    const expected = hashes.get(algorithm) ?? ''
    const got = compute(algorithm)
    if (got !== expected) throw new TrustError('HASH_MISMATCH', { what, algorithm, expected, got })
  }
}
