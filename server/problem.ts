/** Every refusal that leaves this server: its code, its facts, its HTTP status, its sentence. */
import type { AnyTrustError } from '../tuf/index.ts'
import { isStorageError } from './storage/errors.ts'
import type { StorageCode } from './storage/errors.ts'

/** Why an upload cannot become the next state of a repository, beyond what the trust rules say. */
export type UpdateFailures = {
  /** The root gives a role to a key that this server does not hold. */
  readonly KEY_NOT_HELD: { readonly role: string; readonly keyid: string }
  /** The root asks for more signatures than it names keys for, or for none that this server can make. */
  readonly ONLINE_THRESHOLD: { readonly role: string; readonly need: number; readonly have: number }
  /** Files would change under a reader's hands: only consistent snapshots are served. */
  readonly NOT_CONSISTENT: { readonly role: string }
  /** The root names another repository than the one it was sent to (ADR 0009). */
  readonly OTHER_REPOSITORY: { readonly repository: string; readonly named: string }
  /** A repository begins with a root and a targets file. */
  readonly INCOMPLETE: { readonly missing: string }
  /** A root in the other dialect than the repository's. */
  readonly OTHER_DIALECT: { readonly role: string; readonly dialect: string }
  /** Notary v1: publishers hold the snapshot key, and sent no snapshot. */
  readonly SNAPSHOT_MISSING: { readonly missing: string }
  /** Notary v1: a publisher's snapshot lists a file that is neither stored nor in the upload. */
  readonly SNAPSHOT_DANGLING: { readonly role: string; readonly listed: string }
  /** Notary v1: a role delegates to others than `role/one-word`, or under a name that its clients cannot ask for. */
  readonly OTHER_DELEGATION: { readonly role: string; readonly delegated: string }
  /** Notary v1: after a version like this there could soon be no other. */
  readonly VERSION_TOO_HIGH: { readonly role: string; readonly got: number; readonly limit: number }
  /** Notary v1: a root is the one that is stored, or its successor. */
  readonly ROOT_OUT_OF_TURN: { readonly role: string; readonly current: number; readonly got: number }
}

export type ProblemFailures = {
  /** `fault`, in the words of RFC 6750: another access token of the same issuer may help. */
  readonly UNAUTHORIZED: { readonly reason: string; readonly fault?: 'invalid_token' | 'insufficient_scope' }
  readonly DENIED: { readonly action: string; readonly repository?: string }
  readonly METADATA_NOT_FOUND: { readonly repository: string; readonly file: string }
  readonly NOT_FOUND: { readonly what: string }
  readonly INVALID_REPOSITORY: { readonly repository: string }
  readonly INVALID_REQUEST: { readonly reason: string }
  readonly INVALID_PARAMETERS: { readonly parameter: string; readonly got: string }
  readonly MALFORMED_UPLOAD: { readonly reason: string; readonly missing?: 'file name' }
  readonly INVALID_ROLE: { readonly role: string; readonly reason: string }
  /** `code` is a TrustError's or one of UpdateFailures. */
  readonly INVALID_UPDATE: { readonly code: string; readonly reason: string } & Readonly<Record<string, unknown>>
  readonly VERSION: { readonly role: string; readonly current: number; readonly got: number }
  readonly SNAPSHOT_CHANGED: { readonly current: number }
  /** `id` is the pending proposal of the same change. */
  readonly PROPOSED_ALREADY: { readonly id: string }
  readonly PROPOSALS_FULL: { readonly count: number; readonly bytes: number }
  readonly UNKNOWN_SIGNER: { readonly role: string; readonly keyid: string }
  readonly NAME_TAKEN: { readonly name: string }
  readonly TOO_LARGE: { readonly what: string; readonly limit: number }
  readonly HEADERS_TOO_LARGE: { readonly limit: number }
  readonly UNSUPPORTED_MEDIA_TYPE: { readonly wanted: string }
  readonly TIMEOUT: { readonly seconds: number }
  readonly TOO_MANY_REQUESTS: { readonly what: string }
  readonly UNAVAILABLE: { readonly reason: string }
  /** A backup was put back, and what was published since is missing; `missing` says what, where that is known. */
  readonly RESTORED: { readonly reason: string; readonly missing?: readonly string[] }
  readonly SIGNING_UNAVAILABLE: { readonly repository: string; readonly role: string; readonly reason?: string }
  readonly STORAGE_FULL: { readonly reason: string }
  readonly STORAGE_UNAVAILABLE: { readonly reason: string }
  readonly INTERNAL: { readonly request: string }
}
export type ProblemCode = keyof ProblemFailures

export const STATUS = {
  UNAUTHORIZED: 401,
  DENIED: 403,
  METADATA_NOT_FOUND: 404,
  NOT_FOUND: 404,
  INVALID_REPOSITORY: 400,
  INVALID_REQUEST: 400,
  INVALID_PARAMETERS: 400,
  MALFORMED_UPLOAD: 400,
  INVALID_ROLE: 400,
  INVALID_UPDATE: 400,
  VERSION: 409,
  SNAPSHOT_CHANGED: 412,
  PROPOSED_ALREADY: 409,
  PROPOSALS_FULL: 409,
  UNKNOWN_SIGNER: 400,
  NAME_TAKEN: 409,
  TOO_LARGE: 413,
  HEADERS_TOO_LARGE: 431,
  UNSUPPORTED_MEDIA_TYPE: 415,
  TIMEOUT: 408,
  TOO_MANY_REQUESTS: 429,
  UNAVAILABLE: 503,
  RESTORED: 503,
  SIGNING_UNAVAILABLE: 503,
  STORAGE_FULL: 507,
  STORAGE_UNAVAILABLE: 503,
  INTERNAL: 500,
} as const satisfies Record<ProblemCode, number>

const SENTENCE: { readonly [C in ProblemCode]: (d: ProblemFailures[C]) => string } = {
  UNAUTHORIZED: (d) => `a token is needed: ${d.reason}`,
  DENIED: (d) => `this token does not allow ${d.action}${d.repository === undefined ? '' : ` on ${d.repository}`}`,
  METADATA_NOT_FOUND: (d) => `${d.repository} has no ${d.file}`,
  NOT_FOUND: (d) => `there is no ${d.what}`,
  INVALID_REPOSITORY: (d) => `${d.repository} is no repository name`,
  INVALID_REQUEST: (d) => `the request is not understood: ${d.reason}`,
  INVALID_PARAMETERS: (d) => `${d.parameter} must be a whole number and is ${JSON.stringify(d.got)}`,
  MALFORMED_UPLOAD: (d) => `the upload is malformed: ${d.reason}`,
  INVALID_ROLE: (d) => `the role ${d.role} cannot be published: ${d.reason}`,
  INVALID_UPDATE: (d) => `clients would refuse this update: ${d.reason}`,
  VERSION: (d) => `${d.role} is at version ${d.current}, so that ${d.got} cannot follow`,
  SNAPSHOT_CHANGED: (d) => `the snapshot is another one by now: version ${d.current}`,
  PROPOSED_ALREADY: (d) => `the same change is pending as proposal ${d.id}`,
  PROPOSALS_FULL: (d) => `this repository has as many proposals as it may have: ${d.count}, of ${d.bytes} bytes in all`,
  UNKNOWN_SIGNER: (d) => `${d.keyid} is no key of ${d.role}, or did not sign this file of it`,
  NAME_TAKEN: (d) => `there is a live token named ${d.name}`,
  TOO_LARGE: (d) => `${d.what} is larger than ${d.limit} bytes`,
  HEADERS_TOO_LARGE: (d) => `the request's headers are larger than ${d.limit} bytes`,
  UNSUPPORTED_MEDIA_TYPE: (d) => `the body must be ${d.wanted}`,
  TIMEOUT: (d) => `the request did not arrive within ${d.seconds} seconds`,
  TOO_MANY_REQUESTS: (d) => `too much at once: ${d.what}; try again in a second`,
  UNAVAILABLE: (d) => `the server cannot serve now: ${d.reason}`,
  RESTORED: (d) => `not served before what was lost is published again: ${d.reason}`,
  SIGNING_UNAVAILABLE: (d) =>
    `the ${d.role} key of ${d.repository} cannot be used${d.reason === undefined ? '' : `: ${d.reason}`}`,
  STORAGE_FULL: (d) => d.reason,
  STORAGE_UNAVAILABLE: (d) => d.reason,
  INTERNAL: (d) => `something went wrong here; the log has it under ${d.request}`,
}

/** What to do next about those with which a command of `tagseal-server` refuses; the others answer requests. */
const HINT: { readonly [C in ProblemCode]?: (d: ProblemFailures[C]) => string } = {
  NAME_TAKEN: (d) => `choose another --name, or end that one first: tagseal-server token revoke ${d.name}`,
  NOT_FOUND: () => 'tagseal-server token list has their names and ids',
  INVALID_REQUEST: () => 'the same command with --help says how it is written',
  INVALID_REPOSITORY: () => 'write it as registry.example.com/team/app',
}

/** A refusal on its way to the caller. `detail` goes out with it, so it holds nothing that the caller may not know. */
export class Problem<C extends ProblemCode = ProblemCode> extends Error {
  override readonly name = 'Problem'
  readonly code: C
  readonly detail: ProblemFailures[C]
  constructor(code: C, detail: ProblemFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }
  get status(): number {
    return STATUS[this.code]
  }
  /** For the command line alone. */
  get hint(): string | undefined {
    return HINT[this.code]?.(this.detail)
  }
}

export function isProblem(error: unknown): error is Problem {
  return error instanceof Problem
}

/** The body of every error, in the shape that registries use. */
export type ProblemBody = {
  readonly errors: readonly [{ readonly code: string; readonly message: string; readonly detail: object }]
}
export function bodyOf({ code, message, detail }: Problem): ProblemBody {
  return { errors: [{ code, message, detail }] }
}

const UPDATE_SENTENCE: { readonly [C in keyof UpdateFailures]: (d: UpdateFailures[C]) => string } = {
  KEY_NOT_HELD: (d) => `the root gives ${d.role} to the key ${d.keyid}, which this server does not hold`,
  ONLINE_THRESHOLD: (d) => `the root wants ${d.need} signatures on ${d.role} and this server can make ${d.have}`,
  NOT_CONSISTENT: () => 'the root does not say consistent_snapshot, and only consistent snapshots are served',
  OTHER_REPOSITORY: (d) => `the root is for ${d.named}, and was sent to ${d.repository}`,
  INCOMPLETE: (d) => `a new repository needs root and targets, and ${d.missing} is missing`,
  OTHER_DIALECT: (d) => `this repository is of ${d.dialect} for good, and the root is not`,
  SNAPSHOT_MISSING: () =>
    'no snapshot was included in update and server does not hold current snapshot key for repository',
  SNAPSHOT_DANGLING: (d) =>
    `the snapshot lists ${d.role} with ${d.listed}, which is neither stored here nor in the upload`,
  OTHER_DELEGATION: (d) => `${d.role} cannot delegate to ${d.delegated}`,
  VERSION_TOO_HIGH: (d) => `${d.role} has version ${d.got}, and there must be room above it: at most ${d.limit}`,
  ROOT_OUT_OF_TURN: (d) => `Root modifications must increment the version. Current ${d.current}, new ${d.got}`,
}

export function invalidUpdate<C extends keyof UpdateFailures>(code: C, detail: UpdateFailures[C]): Problem {
  return new Problem('INVALID_UPDATE', { ...detail, code, reason: UPDATE_SENTENCE[code](detail) })
}

/** What the trust rules refuse in an upload, told with their own code and facts. */
export function untrusted(error: AnyTrustError): Problem {
  return new Problem('INVALID_UPDATE', { ...error.detail, code: error.code, reason: error.message }, { cause: error })
}

const STORAGE_PROBLEM = {
  STORAGE_FULL: 'STORAGE_FULL',
  STORAGE_UNAVAILABLE: 'STORAGE_UNAVAILABLE',
  STORAGE_NEWER: 'STORAGE_UNAVAILABLE',
  DATA_IN_USE: 'STORAGE_UNAVAILABLE',
} as const satisfies Record<StorageCode, ProblemCode>

/** Any error as what the caller is told; undefined for one that nobody foresaw. Paths and causes stay in the log. */
export function problemOf(error: unknown): Problem | undefined {
  if (isProblem(error)) return error
  if (!isStorageError(error)) return undefined
  const code = STORAGE_PROBLEM[error.code]
  const reason = code === 'STORAGE_FULL' ? 'the server cannot store more' : 'the storage does not answer'
  return new Problem(code, { reason }, { cause: error })
}
