import { printDate } from './codec/date.ts'

/** What can be wrong with metadata, and the facts each refusal carries. */
export type TrustFailures = {
  /** The bytes are no metadata of the kind asked for: syntax, a missing or ill-typed member, a wrong key id. */
  readonly MALFORMED: { readonly what: string; readonly got: string }
  /** Larger than the limit or the listed length, in bytes. */
  readonly TOO_LARGE: { readonly what: string; readonly limit: number }
  /** `expired` and `now` in milliseconds since 1970. */
  readonly EXPIRED: { readonly role: string; readonly expired: number; readonly now: number }
  readonly ROLLBACK: { readonly role: string; readonly trusted: number; readonly got: number }
  /** A role that the trusted snapshot listed is gone from the new one. */
  readonly ROLE_DISAPPEARED: { readonly role: string; readonly trusted: number }
  readonly THRESHOLD: { readonly role: string; readonly need: number; readonly have: number }
  /** A file whose version is not the one its parent, or its own name, announced. */
  readonly VERSION_MISMATCH: { readonly role: string; readonly expected: number; readonly got: number }
  /** `algorithm` is `length` or a hash name. */
  readonly HASH_MISMATCH: {
    readonly what: string
    readonly algorithm: string
    readonly expected: string
    readonly got: string
  }
  /** None of the listed hashes is one we can compute, so nothing would be checked. */
  readonly NO_KNOWN_HASH: { readonly what: string; readonly algorithms: string }
  /** The snapshot does not list a role that is needed. */
  readonly ROLE_NOT_LISTED: { readonly role: string }
  /** A targets file that was signed for another repository than its root (ADR 0009). */
  readonly OTHER_REPOSITORY: { readonly role: string; readonly repository: string; readonly named: string }
  /** No key of a root is in a certificate that is good for this repository. */
  readonly ROOT_CERTIFICATE: { readonly repository: string; readonly why: string }
  readonly TOO_MANY_ROLES: { readonly target: string; readonly limit: number }
}
export type TrustCode = keyof TrustFailures

const SENTENCE: { readonly [C in TrustCode]: (d: TrustFailures[C]) => string } = {
  MALFORMED: (d) => `malformed ${d.what}: ${d.got}`,
  TOO_LARGE: (d) => `${d.what} is larger than ${d.limit} bytes`,
  EXPIRED: (d) => `${d.role} expired at ${iso(d.expired)}, and it is now ${iso(d.now)}`,
  ROLLBACK: (d) => `${d.role} went back from version ${d.trusted} to ${d.got}`,
  ROLE_DISAPPEARED: (d) => `${d.role} was listed at version ${d.trusted} and is listed no more`,
  THRESHOLD: (d) => `${d.role} needs ${d.need} valid ${d.need === 1 ? 'signature' : 'signatures'} and has ${d.have}`,
  VERSION_MISMATCH: (d) => `${d.role} should be version ${d.expected} and is ${d.got}`,
  HASH_MISMATCH: (d) => `${d.what} has ${d.algorithm} ${d.got} where ${d.expected} was signed`,
  NO_KNOWN_HASH: (d) => `${d.what} lists no hash that can be checked (${d.algorithms})`,
  ROLE_NOT_LISTED: (d) => `the snapshot does not list ${d.role}`,
  OTHER_REPOSITORY: (d) => `${d.role} is for ${d.named}, and its root is for ${d.repository}`,
  ROOT_CERTIFICATE: (d) => `no certificate in the root is good for ${d.repository}: ${d.why}`,
  TOO_MANY_ROLES: (d) => `the search for ${d.target} went through ${d.limit} roles without an end`,
}

/** Metadata that must not be trusted. Branch on `code`; `detail` says what was expected and what came. */
export class TrustError<C extends TrustCode = TrustCode> extends Error {
  override readonly name = 'TrustError'
  readonly code: C
  readonly detail: TrustFailures[C]
  constructor(code: C, detail: TrustFailures[C], options?: ErrorOptions) {
    super(printable(SENTENCE[code](detail)), options)
    this.code = code
    this.detail = detail
  }
}

/** The union to switch over: narrowing on `code` narrows `detail`. */
export type AnyTrustError = { readonly [C in TrustCode]: TrustError<C> }[TrustCode]

export function isTrustError(error: unknown): error is AnyTrustError {
  return error instanceof TrustError
}

function iso(milliseconds: number): string {
  return printDate(milliseconds) ?? `${milliseconds} ms`
}

/** Names come from outside: nothing in a message may move a cursor, turn the writing round or fill a screen. */
function printable(text: string): string {
  const shown = text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)
  return shown.length > 400 ? `${shown.slice(0, 400)}…` : shown
}
