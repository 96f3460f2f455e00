/** Whether an authority that somebody pinned vouches for a certificate, as Go's `x509.Verify` judges it for Notary. */
import type { Certificate } from '../model/certificate.ts'

/** id-kp-serverAuth and anyExtendedKeyUsage: Go asks for the first where nobody names another purpose. */
const SERVER: ReadonlySet<string> = new Set(['2b06010505070301', '551d2500'])
/** Authorities between a leaf and the pinned one. */
const MOST_BETWEEN = 8

/**
 * Whether a chain leads from the leaf over `others` to one of `anchors`. Every link is good at that instant, its
 * issuers are authorities, and each that says what it is for says a server's: Notary's own leafs say something else.
 */
export function isVouchedFor(
  [leaf, ...others]: readonly Certificate[],
  anchors: readonly Certificate[],
  now: number,
): boolean {
  const left = new Set(others)
  let reached = leaf !== undefined && isSound(leaf, now) ? [leaf] : []
  for (let between = 0; between <= MOST_BETWEEN && reached.length > 0; between++) {
    if (issuersOf(reached, anchors, between, now).length > 0) return true
    reached = issuersOf(reached, left, between, now)
    // The nearer an authority is to the leaf, the more may stand above it: no longer way to it could lead further.
    for (const each of reached) left.delete(each)
  }
  return false
}

function issuersOf(
  certificates: readonly Certificate[],
  from: Iterable<Certificate>,
  between: number,
  now: number,
): Certificate[] {
  return [...from].filter(
    (other) => mayIssue(other, between, now) && certificates.some((each) => each.isIssuedBy(other)),
  )
}

function mayIssue(authority: Certificate, between: number, now: number): boolean {
  const { isCa, maySign, pathLength = between } = authority
  return isCa && maySign && between <= pathLength && isSound(authority, now)
}

function isSound({ notBefore, notAfter, purposes, weakness }: Certificate, now: number): boolean {
  const fits = purposes === undefined || purposes.some((purpose) => SERVER.has(purpose))
  return fits && weakness === undefined && notBefore <= now && now <= notAfter
}
