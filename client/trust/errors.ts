import type { HttpFailures } from '../http-errors.ts'
import { reachHint, runningHint, tokenHint, unreached } from '../http-errors.ts'

/** What can keep a client from an answer, beside metadata that must not be trusted (`TrustError`). */
export type ClientFailures = {
  readonly NETWORK: HttpFailures['NETWORK']
  readonly TIMEOUT: { readonly url: string; readonly milliseconds: number }
  readonly PLAIN_HTTP_REFUSED: { readonly host: string }
  readonly REDIRECT_REFUSED: { readonly url: string; readonly why: string }
  readonly SERVER_ERROR: { readonly url: string; readonly status: number }
  /** `sent`: where the token came from that was sent. */
  readonly UNAUTHORIZED: { readonly url: string; readonly sent?: string }
  /** The server was put back from a backup, and does not serve what clients may have seen more of. */
  readonly RESTORED: { readonly url: string }
  /** An answer that is no metadata file whatever its bytes are: an encoding nobody asked for. */
  readonly BAD_ANSWER: { readonly url: string; readonly why: string }
  readonly BAD_URL: { readonly url: string; readonly why: string }
  /** No rule of this machine says whom to trust for a repository. */
  readonly NOT_PINNED: { readonly repository: string }
  /**
   * `searched`: how many roots were looked at. `need`: how many of the pinned keys; 0 where an authority is pinned. `key`:
   * the only one that is pinned.
   */
  readonly PIN_NOT_MET: {
    readonly repository: string
    readonly need: number
    readonly searched: number
    readonly key?: string
  }
  /** `named`: the repository that the root is for; undefined where it says none and the pin needs one. */
  readonly REPOSITORY_MISMATCH: { readonly repository: string; readonly named: string | undefined }
  /** Both in milliseconds since 1970. */
  readonly CLOCK_WENT_BACK: { readonly now: number; readonly seen: number }
  readonly CACHE_UNUSABLE: { readonly path: string; readonly reason: string }
  readonly CACHE_LOCKED: { readonly path: string; readonly milliseconds: number; readonly holder: string }
  /** The server has no such file, or does not show it. `moving`: the one that a repository is to move from. */
  readonly NO_TRUST_DATA: { readonly repository: string; readonly file: string; readonly moving?: true }
  readonly TAG_NOT_SIGNED: { readonly repository: string; readonly tag: string }
  /** The file of pins cannot be read or written: the disk, or a permission. */
  readonly CONFIG_UNUSABLE: { readonly path: string; readonly reason: string }
  readonly CONFIG_MALFORMED: { readonly path: string; readonly what: string }
  /** A target that cannot be asked for or kept safely under its name. */
  readonly TARGET_REFUSED: { readonly target: string; readonly why: string }
}
export type ClientCode = keyof ClientFailures

type Sentences = { readonly [C in ClientCode]: (d: ClientFailures[C]) => string }
type Hints = { readonly [C in ClientCode]: (d: ClientFailures[C]) => string }

const SENTENCE: Sentences = {
  NETWORK: unreached,
  TIMEOUT: (d) => `${d.url} took too long: given up after ${seconds(d.milliseconds)}`,
  PLAIN_HTTP_REFUSED: (d) => `${d.host} would be spoken to in plain http`,
  REDIRECT_REFUSED: (d) => `${d.url} redirects ${d.why}`,
  SERVER_ERROR: (d) => `${d.url} answered with status ${d.status}`,
  UNAUTHORIZED: (d) =>
    d.sent === undefined ? `${d.url} asks for a token` : `${d.url} does not take the token in ${d.sent}`,
  RESTORED: (d) => `${d.url} is not served: the server was restored from a backup that lacks what was published since`,
  BAD_ANSWER: (d) => `${d.url} answered ${d.why}`,
  BAD_URL: (d) => `${d.url} cannot be used as a base URL: ${d.why}`,
  NOT_PINNED: (d) => `nothing on this machine says whose signatures count for ${d.repository}`,
  PIN_NOT_MET: (d) =>
    d.need === 0
      ? `the pinned certificate authority vouches for no root of ${d.repository} (${d.searched} looked at)`
      : `no root of ${d.repository} is signed by ${d.key === undefined ? `${d.need} of the pinned keys` : `the pinned key ${d.key.slice(0, 12)}`} (${d.searched} looked at)`,
  REPOSITORY_MISMATCH: (d) =>
    d.named === undefined
      ? `the root served for ${d.repository} does not say which repository it is for`
      : `the root served for ${d.repository} is the root of ${d.named}`,
  CLOCK_WENT_BACK: (d) => `it is ${iso(d.now)} by this machine's clock, and it was already ${iso(d.seen)}`,
  CACHE_UNUSABLE: (d) => `${d.path} cannot be used to remember what was seen: ${d.reason}`,
  CACHE_LOCKED: (d) => `${d.path} was locked by ${d.holder} for ${seconds(d.milliseconds)}`,
  NO_TRUST_DATA: (d) => `the ${d.moving ? 'old ' : ''}server has no ${d.file} for ${d.repository}`,
  TAG_NOT_SIGNED: (d) => `${d.repository} has no signed tag ${d.tag}`,
  CONFIG_UNUSABLE: (d) => `${d.path} cannot be used: ${d.reason}`,
  CONFIG_MALFORMED: (d) => `${d.path}: ${d.what}`,
  TARGET_REFUSED: (d) => `target ${JSON.stringify(d.target)} refused: ${d.why}`,
}

const HINT: Hints = {
  NETWORK: reachHint,
  TIMEOUT: (d) => runningHint(d.url),
  SERVER_ERROR: () => "try again; if it stays, the server's log has the reason",
  BAD_URL: () => 'write it as https://trust.example.com',
  PLAIN_HTTP_REFUSED: (d) => `use https, or name the host: --plain-http=${d.host}`,
  UNAUTHORIZED: tokenHint,
  RESTORED: () =>
    'the operator of the server sees what is missing with "tagseal-server restore", and goes on with "tagseal-server ' +
    'restore --resume"; then its owner publishes it again: tagseal sign REPO:TAG, on a machine that saw it',
  NOT_PINNED: (d) =>
    'compare the name with "tagseal trust list" (one without a registry is completed to docker.io/library/NAME), or run ' +
    `the line that "tagseal init" printed for its owner: tagseal trust add ${d.repository} --key ID --server URL, with ` +
    '--ca FILE where an authority of its own vouches for that server',
  PIN_NOT_MET: (d) => `compare "tagseal trust list" with the key ids that the owner of ${d.repository} published`,
  CONFIG_MALFORMED: (d) =>
    d.path.endsWith('.json')
      ? 'mend it, or move it away and run again what wrote it (tagseal trust add)'
      : 'mend what the message names, or move it away',
  REPOSITORY_MISMATCH: (d) =>
    d.named === undefined
      ? `pin this one repository by its root file: tagseal trust add ${d.repository} --root FILE`
      : 'somebody serves one repository for another; do not use the image',
  CLOCK_WENT_BACK: () => 'set the clock of this machine, then try again',
  CACHE_UNUSABLE: () =>
    'make the folder writable: what was seen is remembered there, so that nothing older passes; --home DIR names another, ' +
    'with keys and pins of its own',
  CONFIG_UNUSABLE: () => 'mend what keeps it from being read and written, or name another folder with --home DIR',
  CACHE_LOCKED: (d) => `end that process, or remove ${d.path} if it runs no more`,
  NO_TRUST_DATA: (d) =>
    d.moving
      ? 'check the name, which is the one that docker pulls by, and --from'
      : `check the name and the server; a new repository is made by "tagseal init ${d.repository}"`,
  TAG_NOT_SIGNED: (d) => `tagseal list ${d.repository} shows the signed tags`,
  REDIRECT_REFUSED: () => 'is that the URL of the trust server? --server URL names another',
  BAD_ANSWER: () => 'is there a proxy in between that changes answers?',
  TARGET_REFUSED: () => 'have its owner sign it under another tag',
}

/** A question that could not be answered, or that this machine's rules refuse. Branch on `code`. */
export class ClientError<C extends ClientCode = ClientCode> extends Error {
  override readonly name = 'ClientError'
  readonly code: C
  readonly detail: ClientFailures[C]
  constructor(code: C, detail: ClientFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  /** What to do next. */
  get hint(): string {
    return HINT[this.code](this.detail)
  }
}

/** The union to switch over: narrowing on `code` narrows `detail`. */
export type AnyClientError = { readonly [C in ClientCode]: ClientError<C> }[ClientCode]

export function isClientError(error: unknown): error is AnyClientError {
  return error instanceof ClientError
}

function seconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 100) / 10} s`
}

function iso(milliseconds: number): string {
  return Math.abs(milliseconds) <= 8.64e15 ? new Date(milliseconds).toISOString() : `${milliseconds} ms`
}
