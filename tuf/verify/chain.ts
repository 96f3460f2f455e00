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
  return leaf !== undefined && isSound(leaf, now) && reaches(leaf, { others, anchors, now }, 0)
}

type Search = {
  readonly others: readonly Certificate[]
  readonly anchors: readonly Certificate[]
  readonly now: number
}

function reaches(certificate: Certificate, search: Search, between: number): boolean {
  const { others, anchors, now } = search
  const issuers = (from: readonly Certificate[]) =>
    from.filter((other) => mayIssue(other, between, now) && certificate.isIssuedBy(other))
  if (issuers(anchors).length > 0) return true
  if (between === MOST_BETWEEN) return false
  const rest = (used: Certificate) => ({ ...search, others: others.filter((other) => other !== used) })
  return issuers(others).some((issuer) => reaches(issuer, rest(issuer), between + 1))
}

function mayIssue(authority: Certificate, between: number, now: number): boolean {
  const { isCa, maySign, pathLength = between } = authority
  return isCa && maySign && between <= pathLength && isSound(authority, now)
}

function isSound({ notBefore, notAfter, purposes, weakness }: Certificate, now: number): boolean {
  const fits = purposes === undefined || purposes.some((purpose) => SERVER.has(purpose))
  return fits && weakness === undefined && notBefore <= now && now <= notAfter
}
