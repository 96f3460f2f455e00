/**
 * Exit codes, from the codes of every layer: 0 trusted or done, 1 refused, 2 wrongly called, 3 could not find out.
 *
 * Of the layers only types are imported, so that a command does not load those that it never uses.
 */
import type { KeyCode, KeyFailures } from '../keys/errors.ts'
import type { TrustCode } from '../tuf/errors.ts'
import type { AdmissionCode } from './admission/errors.ts'
import type { CeremonyCode } from './ceremony/errors.ts'
import type { CommandCode } from './commands/errors.ts'
import type { HttpCode } from './http-errors.ts'
import type { PolicyCode } from './policy/errors.ts'
import type { LockCode } from './pinning/errors.ts'
import type { MovingCode } from './moving/errors.ts'
import type { PublishCode } from './publish/errors.ts'
import type { RegistryCode } from './registry/errors.ts'
import type { ClientCode } from './trust/errors.ts'
import type { VerifierCode } from './verifier/errors.ts'
import type { VerdictCode } from './verdict/errors.ts'
import { shellWord } from './shell-word.ts'

export type ExitCode = 0 | 1 | 2 | 3

/** Metadata that must not be trusted is always a no. */
const TRUST = {
  MALFORMED: 1,
  TOO_LARGE: 1,
  EXPIRED: 1,
  ROLLBACK: 1,
  ROLE_DISAPPEARED: 1,
  THRESHOLD: 1,
  VERSION_MISMATCH: 1,
  HASH_MISMATCH: 1,
  NO_KNOWN_HASH: 1,
  ROLE_NOT_LISTED: 1,
  OTHER_REPOSITORY: 1,
  ROOT_CERTIFICATE: 1,
  TOO_MANY_ROLES: 1,
} as const satisfies Record<TrustCode, ExitCode>

const CLIENT = {
  NETWORK: 3,
  TIMEOUT: 3,
  PLAIN_HTTP_REFUSED: 1,
  REDIRECT_REFUSED: 3,
  SERVER_ERROR: 3,
  UNAUTHORIZED: 3,
  RESTORED: 3,
  BAD_ANSWER: 3,
  BAD_URL: 2,
  NOT_PINNED: 1,
  PIN_NOT_MET: 1,
  REPOSITORY_MISMATCH: 1,
  CLOCK_WENT_BACK: 1,
  CACHE_UNUSABLE: 3,
  CACHE_LOCKED: 3,
  NO_TRUST_DATA: 1,
  TAG_NOT_SIGNED: 1,
  CONFIG_UNUSABLE: 3,
  CONFIG_MALFORMED: 2,
  TARGET_REFUSED: 1,
} as const satisfies Record<ClientCode, ExitCode>

const REGISTRY = {
  REFERENCE_INVALID: 2,
  PLAIN_HTTP_REFUSED: 1,
  UNREACHABLE: 3,
  CERTIFICATE_REFUSED: 3,
  TIMEOUT: 3,
  UNAUTHORIZED: 3,
  DENIED: 3,
  RATE_LIMITED: 3,
  UNAVAILABLE: 3,
  BAD_RESPONSE: 3,
  REDIRECT_REFUSED: 3,
  REALM_REFUSED: 3,
  UNKNOWN_MANIFEST: 1,
  UNKNOWN_BLOB: 1,
  TOO_LARGE: 1,
  SIZE_MISMATCH: 1,
  DIGEST_MISMATCH: 1,
  MEDIA_TYPE_MISMATCH: 1,
  UNSUPPORTED_MANIFEST: 1,
  MALFORMED_MANIFEST: 1,
  TOO_MANY_PARTS: 1,
  PLATFORM_NOT_FOUND: 1,
  PLATFORM_MISMATCH: 1,
  CREDENTIALS_MALFORMED: 3,
  CREDENTIAL_HELPER_MISSING: 3,
  CREDENTIAL_HELPER_FAILED: 3,
} as const satisfies Record<RegistryCode, ExitCode>

const KEY = {
  KEY_NOT_FOUND: 2,
  KEY_AMBIGUOUS: 2,
  KEY_EXISTS: 1,
  KEY_PERMISSIONS: 1,
  KEY_MALFORMED: 1,
  KEY_WEAK: 1,
  KEY_CLOSED: 3,
  KEY_ELSEWHERE: 1,
  SHARE_MALFORMED: 2,
  SHARE_DAMAGED: 1,
  SHARE_TWICE: 1,
  SHARES_MIXED: 1,
  SHARES_TOO_FEW: 1,
  SHARES_WRONG: 1,
  SIGNER_MALFORMED: 2,
  SIGNER_UNAVAILABLE: 3,
  SIGNER_UNFIT: 1,
  SIGNER_FAILED: 3,
  SIGNER_TIMEOUT: 3,
  SIGNATURE_WRONG: 1,
  PIN_MISSING: 2,
  PIN_UNUSABLE: 2,
  PIN_WRONG: 1,
  PIN_LOCKED: 1,
  KEYSTORE_IO: 3,
  PASSPHRASE_MISSING: 2,
  PASSPHRASE_WRONG: 1,
  PASSPHRASE_UNUSABLE: 2,
  PASSPHRASE_CANCELLED: 1,
  KEK_MISSING: 3,
  KEK_MALFORMED: 3,
  SEALED_OTHER_KEK: 3,
  SEALED_BROKEN: 3,
} as const satisfies Record<KeyCode, ExitCode>

const HTTP = {
  NETWORK: 3,
  TIMEOUT: 3,
  TOO_LARGE: 3,
  PLAIN_HTTP_REFUSED: 1,
  SCHEME_REFUSED: 2,
} as const satisfies Record<HttpCode, ExitCode>

const PUBLISH = {
  NO_SIGNING_KEY: 1,
  KEY_NOT_IN_ROLE: 2,
  TOO_FEW_KEYS: 1,
  APPROVAL_PENDING: 1,
  PROPOSAL_UNFIT: 1,
  PROPOSAL_ALTERED: 1,
  PROPOSAL_OF_OTHERS: 1,
  PROPOSAL_STALE: 1,
  UNKNOWN_ROLE: 2,
  TAG_OUT_OF_SCOPE: 1,
  TAG_SHADOWED: 1,
  TAG_MOVED: 1,
  TAG_CHANGED: 1,
  CONFLICT: 3,
  UPDATE_REFUSED: 1,
  UNAUTHORIZED: 1,
  DENIED: 1,
  SERVER_FAILED: 3,
  NOT_THERE: 1,
  BAD_ANSWER: 3,
} as const satisfies Record<PublishCode, ExitCode>

const COMMAND = {
  USAGE: 2,
  NO_SERVER: 2,
  FILE_UNREADABLE: 2,
  FILE_EXISTS: 1,
  FILE_MALFORMED: 2,
  REPOSITORY_EXISTS: 1,
  DIGEST_DIFFERS: 1,
  STILL_SIGNED: 1,
  ROOT_LOST: 1,
  LEFT_UNDONE: 1,
  NOT_LISTED: 3,
  DRILL_FAILED: 3,
  ENGINE_MISSING: 3,
  ENGINE_FAILED: 3,
  ROTATION_RUNNING: 3,
  CLOCKS_DIFFER: 2,
  INTERRUPTED: 3,
  INTERNAL: 3,
  IO: 3,
} as const satisfies Record<CommandCode, ExitCode>

/** This machine's rules say no. */
const VERDICT = {
  NO_RULE: 1,
  REFUSED_BY_RULE: 1,
  UNSIGNED_BY_RULE: 1,
  DIGEST_DIFFERS: 1,
  DIGEST_NOT_SIGNED: 1,
  ROLE_NOT_COUNTED: 1,
  ROLE_REQUIRED: 1,
  THRESHOLD_REQUIRED: 1,
  FOREIGN_CONTENT: 1,
} as const satisfies Record<VerdictCode, ExitCode>

const VERIFIER = {
  QUESTION_MALFORMED: 2,
  OTHER_DIGEST: 1,
  TOO_SLOW: 3,
  AGENT_UNUSABLE: 3,
} as const satisfies Record<VerifierCode, ExitCode>

const ADMISSION = {
  NOT_A_REVIEW: 2,
  REVIEW_TOO_LARGE: 2,
  REVIEW_MALFORMED: 2,
  KIND_NOT_NAMED: 1,
  OBJECT_MALFORMED: 1,
  TOO_MANY_IMAGES: 1,
  DIGEST_MISSING: 1,
  TOO_SLOW: 3,
  TOO_BUSY: 3,
} as const satisfies Record<AdmissionCode, ExitCode>

const POLICY = {
  POLICY_MALFORMED: 2,
  POLICY_UNUSABLE: 3,
} as const satisfies Record<PolicyCode, ExitCode>

/** A lock that does not fit is a no; whoever wants another one writes it. */
const LOCK = {
  LOCK_MISSING: 1,
  LOCK_EDITED: 1,
  LOCK_INCOMPLETE: 1,
  LOCK_STALE: 1,
  LOCK_AHEAD: 1,
  STATE_MOVED: 3,
} as const satisfies Record<LockCode, ExitCode>

const MOVING = {
  PIN_NEEDED: 2,
  PIN_NOT_FOUND: 1,
  NOT_NOTARY: 1,
  TOO_MANY_ROOTS: 1,
  TOO_MANY_ROLES: 1,
  ROOT_KEY_NEEDED: 1,
  OTHER_HERE: 1,
  DIVERGED: 1,
} as const satisfies Record<MovingCode, ExitCode>

const CEREMONY = {
  PROPOSAL_MALFORMED: 2,
  PROPOSAL_UNSOUND: 1,
  WORDS_DIFFER: 1,
  TAGS_CHANGED: 1,
  SIGNATURE_FOREIGN: 1,
  SIGNER_UNKNOWN: 1,
  PROPOSALS_DIFFER: 1,
  NOT_VOUCHED: 1,
  OTHER_CHAIN: 1,
  PROPOSAL_STALE: 1,
  FILES_STALE: 1,
  SIGNATURES_MISSING: 1,
  NO_KEY_FITS: 1,
  NOT_CONFIRMED: 1,
  FORMAT_LIMIT: 2,
} as const satisfies Record<CeremonyCode, ExitCode>

/** By the name of the error's class. */
export const EXIT_CODES = {
  TrustError: TRUST,
  ClientError: CLIENT,
  VerdictError: VERDICT,
  VerifierError: VERIFIER,
  AdmissionError: ADMISSION,
  PolicyError: POLICY,
  LockError: LOCK,
  RegistryError: REGISTRY,
  KeyError: KEY,
  HttpError: HTTP,
  PublishError: PUBLISH,
  CommandError: COMMAND,
  MovingError: MOVING,
  CeremonyError: CEREMONY,
} as const satisfies Record<string, Readonly<Record<string, ExitCode>>>

/** An error as it is told: `code` and `detail` for programs, the rest for people. */
export type Failure = {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly detail: unknown
  readonly exit: ExitCode
}

/** Everything that was thrown becomes one of these. What no layer knows is a bug of ours, and is called one. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return internal(String(error))
  const { message } = error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const exit = code === undefined ? undefined : exitOf(error.name, code)
  if (code !== undefined && exit !== undefined) {
    const hint = hintOf(error, code)
    const detail = 'detail' in error ? error.detail : {}
    return { code, message, ...(hint === undefined ? {} : { hint }), detail, exit }
  }
  if (code !== undefined && 'syscall' in error) return fromSystem(error, code)
  return internal(message)
}

function exitOf(name: string, code: string): ExitCode | undefined {
  const codes = new Map<string, Readonly<Record<string, ExitCode>>>(Object.entries(EXIT_CODES)).get(name)
  return codes !== undefined && Object.hasOwn(codes, code) ? codes[code] : undefined
}

function hintOf(error: Error, code: string): string | undefined {
  const own = 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined
  if (own !== undefined) return own
  if (error.name === 'KeyError') return keyHint(error, code)
  if (error.name === 'TrustError' && code === 'EXPIRED')
    return expiredHint('detail' in error ? error.detail : undefined)
  const hints: Readonly<Record<string, string>> | undefined = HINTS[error.name]
  return hints !== undefined && Object.hasOwn(hints, code) ? hints[code] : undefined
}

/** `tuf/` and `keys/` know no command line, so what to type next is said here. */
const HINTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  TrustError: {
    MALFORMED:
      'nothing of it is used; is it the server that was meant, and a repository of the kind that is known here?',
    ROLLBACK:
      'the server answered with older metadata than this machine has already seen; do not use the image. If it was ' +
      'restored from a backup, its owner brings back what is missing: tagseal sign REPO:TAG, on a machine that saw it',
    ROLE_NOT_LISTED:
      'the role was delegated and never published: its owner signs a tag, or "tagseal delegation remove" takes it out',
    ROLE_DISAPPEARED: 'the server hides metadata that this machine has already seen; do not use the image',
    THRESHOLD: 'not enough of the keys that this role lists signed it; do not use the image',
    HASH_MISMATCH: 'the server, or something in front of it, changed the bytes; do not use the image',
    OTHER_REPOSITORY: 'somebody serves the tags of one repository for another; do not use the image',
    ROOT_CERTIFICATE:
      "is this machine's clock right? if it is, ask the owner of the repository for a root that names it",
    VERSION_MISMATCH:
      'the server, or something in front of it, mixes files of different versions; do not use the image',
    TOO_LARGE: 'nothing of it is used; is it the server that was meant?',
    NO_KNOWN_HASH: 'have it signed again by a current program',
    TOO_MANY_ROLES: 'have its owner delegate to fewer roles: tagseal delegation list REPO shows them',
  },
}

/** Only what the server signs is the server's to renew. */
function expiredHint(detail: unknown): string {
  const role = typeof detail === 'object' && detail !== null && 'role' in detail ? detail.role : undefined
  const withheld = (why: string) =>
    `is this machine's clock right? if it is, ${why}, or somebody withholds newer metadata`
  if (role === 'timestamp' || role === 'snapshot') return withheld('the server no longer re-signs')
  if (role === 'root') return withheld('its owner has not renewed the root in time (tagseal rotate REPO root --key ID)')
  return withheld('whoever signs for that role has to sign again (tagseal sign REPO:TAG)')
}

function keyHint(error: Error, code: string): string | undefined {
  const hints: Partial<Record<KeyCode, string>> = {
    KEY_NOT_FOUND: 'tagseal key list',
    KEY_AMBIGUOUS: 'give more characters of the id',
    KEY_EXISTS: 'tagseal key list',
    KEY_ELSEWHERE: 'nothing was changed; ask whoever keeps it there',
    SHARE_MALFORMED:
      'write it as it is printed, from "tagseal key share" to "check:"; the words in between may be left out',
    SHARE_DAMAGED: 'compare that line with the paper or file it was copied from, letter by letter',
    SHARE_TWICE: 'ask another holder for a share with another number',
    SHARES_MIXED: 'look at the lines "key:" and "set:" of each, and bring shares in which both are the same',
    SHARES_TOO_FEW: 'ask more holders; each share says how many there are',
    SHARES_WRONG: 'nothing was stored; try again without one of them and with that of another holder',
    SIGNER_MALFORMED:
      'write ssh:SHA256:FINGERPRINT, pkcs11:token=T;object=O, or exec:/path/to/program; a PIN goes into a file: ' +
      '--pin-file FILE, or ?pin-source=file:/PATH',
    SIGNER_UNFIT: 'use an ed25519 or ecdsa key',
    SIGNER_FAILED: 'nothing was published; run it again once the signer works',
    SIGNER_TIMEOUT: 'nothing was published; run it again, and touch or confirm when it is asked for',
    SIGNATURE_WRONG: 'nothing was published; find out what answers in the place of that key',
    PIN_MISSING: 'put it in a file and give --pin-file FILE, or TAGSEAL_PIN_FILE',
    PIN_UNUSABLE: 'give another file with --pin-file FILE or TAGSEAL_PIN_FILE, or the one that pin-source names',
    PIN_WRONG: 'check it: a token locks itself after a few wrong ones',
    PIN_LOCKED: "log in once with the right PIN by the token's own tool, or have it unlocked",
    PASSPHRASE_MISSING:
      'give --passphrase-file FILE, TAGSEAL_PASSPHRASE_FILE or the systemd credential tagseal-passphrase',
    PASSPHRASE_WRONG:
      'nothing was changed; the keys here may be under different passphrases: --passphrase-file FILE takes several, one a ' +
      'line, and "tagseal key passwd KEY" puts a key under another',
    PASSPHRASE_UNUSABLE: 'give another with --passphrase-file FILE or TAGSEAL_PASSPHRASE_FILE, or type it',
    PASSPHRASE_CANCELLED: 'nothing was published; run it again',
    KEY_MALFORMED: 'nothing was changed; get the original again, in the form that the message names',
    KEY_CLOSED: 'this is a bug in tagseal; please report it',
    KEY_WEAK: 'make a new one: tagseal key generate',
    SIGNER_UNAVAILABLE: 'nothing was signed; see that it runs, and that this user may use it',
    KEYSTORE_IO: 'check the disk and the folder, or name another one with --home DIR',
  }
  const detail = 'detail' in error ? error.detail : undefined
  if (code === 'KEY_PERMISSIONS' && isPermissions(detail)) return detail.mend
  if (code === 'PASSPHRASE_WRONG' && isForeign(detail))
    return 'nothing was changed; try again, or name the file that holds it: --old-passphrase-file FILE'
  if (code === 'KEY_NOT_FOUND' && isElsewhere(detail)) return `tagseal key list ${shellWord(detail.among)}`
  return new Map<string, string>(Object.entries(hints)).get(code)
}

function isPermissions(detail: unknown): detail is KeyFailures['KEY_PERMISSIONS'] {
  return typeof detail === 'object' && detail !== null && 'mend' in detail && typeof detail.mend === 'string'
}

function isForeign(detail: unknown): boolean {
  return typeof detail === 'object' && detail !== null && 'isForeign' in detail && detail.isForeign === true
}

function isElsewhere(detail: unknown): detail is { readonly among: string } {
  return typeof detail === 'object' && detail !== null && 'among' in detail && typeof detail.among === 'string'
}

/** A disk or a pipe that failed: nobody's bug. */
function fromSystem(error: Error, code: string): Failure {
  const path = 'path' in error && typeof error.path === 'string' ? { path: error.path } : {}
  const hint = 'check the disk, and the permissions of what is named'
  return { code: 'IO', message: error.message, hint, detail: { reason: code, ...path }, exit: 3 }
}

function internal(why: string): Failure {
  return {
    code: 'INTERNAL',
    message: `internal error: ${why}`,
    hint: 'this is a bug in tagseal; run it again with --verbose and report what it prints',
    detail: {},
    exit: 3,
  }
}
