/**
 * What can go wrong between us and a registry, and the facts each refusal carries.
 *
 * No detail ever holds a credential, a token or a query string: redirects to object stores carry their secret there.
 */
export type RegistryFailures = {
  /** The text is no image reference; `why` is a sentence for whoever typed it. */
  readonly REFERENCE_INVALID: { readonly text: string; readonly why: string }
  readonly PLAIN_HTTP_REFUSED: { readonly host: string }
  readonly UNREACHABLE: { readonly host: string; readonly why: string }
  /** `option`: where the certificate of its authority is given. */
  readonly CERTIFICATE_REFUSED: { readonly host: string; readonly why: string; readonly option?: string }
  readonly TIMEOUT: { readonly host: string; readonly what: string; readonly milliseconds: number }
  /** The registry asked who we are. `sent`: whether we had a login to answer with. */
  readonly UNAUTHORIZED: { readonly host: string; readonly what: string; readonly sent: boolean }
  readonly DENIED: { readonly host: string; readonly what: string }
  /** `seconds` is how long the registry asked us to stay away, where it said. */
  readonly RATE_LIMITED: { readonly host: string; readonly what: string; readonly seconds?: number }
  /** The registry keeps failing (5xx). */
  readonly UNAVAILABLE: {
    readonly host: string
    readonly what: string
    readonly status: number
    readonly seconds?: number
  }
  /** An answer that no registry should give. */
  readonly BAD_RESPONSE: { readonly host: string; readonly what: string; readonly why: string }
  readonly REDIRECT_REFUSED: { readonly host: string; readonly to: string; readonly why: string }
  /** The place where the registry wants us to fetch a token is no place to send a login to. */
  readonly REALM_REFUSED: { readonly host: string; readonly realm: string; readonly why: string }
  readonly UNKNOWN_MANIFEST: { readonly what: string }
  readonly UNKNOWN_BLOB: { readonly what: string }
  readonly TOO_LARGE: { readonly what: string; readonly limit: number }
  readonly SIZE_MISMATCH: { readonly what: string; readonly expected: number; readonly got: number }
  readonly DIGEST_MISMATCH: { readonly what: string; readonly expected: string; readonly got: string }
  readonly MEDIA_TYPE_MISMATCH: { readonly what: string; readonly expected: string; readonly got: string }
  readonly UNSUPPORTED_MANIFEST: { readonly what: string; readonly mediaType: string }
  readonly MALFORMED_MANIFEST: { readonly what: string; readonly why: string }
  /** More parts, or deeper nested, than any honest image. */
  readonly TOO_MANY_PARTS: { readonly what: string; readonly of: string; readonly limit: number }
  readonly PLATFORM_NOT_FOUND: { readonly what: string; readonly wanted: string; readonly has: string }
  /** The index says one platform and the image's own config another. */
  readonly PLATFORM_MISMATCH: { readonly what: string; readonly expected: string; readonly got: string }
  readonly CREDENTIALS_MALFORMED: { readonly file: string; readonly why: string }
  readonly CREDENTIAL_HELPER_MISSING: { readonly helper: string; readonly file: string }
  readonly CREDENTIAL_HELPER_FAILED: { readonly helper: string; readonly why: string }
}
export type RegistryCode = keyof RegistryFailures

const SENTENCE: { readonly [C in RegistryCode]: (d: RegistryFailures[C]) => string } = {
  REFERENCE_INVALID: (d) => `${JSON.stringify(printable(d.text, 300))} is no image reference: ${d.why}`,
  PLAIN_HTTP_REFUSED: (d) => `${d.host} is not this machine, and plain http would let anyone in between answer`,
  UNREACHABLE: (d) => `${d.host} cannot be reached: ${d.why}`,
  CERTIFICATE_REFUSED: (d) => `${d.host} showed a certificate that this machine does not trust: ${d.why}`,
  TIMEOUT: (d) => `${d.host} took longer than ${seconds(d.milliseconds)} for ${d.what}`,
  UNAUTHORIZED: (d) =>
    d.sent ? `${d.host} does not accept the login for ${d.what}` : `${d.host} wants a login for ${d.what}`,
  DENIED: (d) => `${d.host} does not let this login read ${d.what}`,
  RATE_LIMITED: (d) =>
    `${d.host} asks for fewer requests (${d.what})${d.seconds === undefined ? '' : `; try again in ${d.seconds} s`}`,
  UNAVAILABLE: (d) => `${d.host} answers ${d.status} for ${d.what}`,
  BAD_RESPONSE: (d) => `${d.host} gave no proper answer for ${d.what}: ${d.why}`,
  REDIRECT_REFUSED: (d) => `${d.host} redirects to ${d.to}, which is refused: ${d.why}`,
  REALM_REFUSED: (d) => `${d.host} asks for a token from ${d.realm}, which is refused: ${d.why}`,
  UNKNOWN_MANIFEST: (d) => `the registry has no ${d.what}`,
  UNKNOWN_BLOB: (d) => `the registry has no ${d.what}`,
  TOO_LARGE: (d) => `${d.what} is larger than ${d.limit} bytes`,
  SIZE_MISMATCH: (d) => `${d.what} should be ${d.expected} bytes and is ${d.got}`,
  DIGEST_MISMATCH: (d) => `${d.what} has digest ${d.got} where ${d.expected} was asked for`,
  MEDIA_TYPE_MISMATCH: (d) => `${d.what} should be ${d.expected} and is ${d.got}`,
  UNSUPPORTED_MANIFEST: (d) => `${d.what} is of a kind that cannot be checked (${d.mediaType})`,
  MALFORMED_MANIFEST: (d) => `${d.what} is malformed: ${d.why}`,
  TOO_MANY_PARTS: (d) => `${d.what} has more than ${d.limit} ${d.of}`,
  PLATFORM_NOT_FOUND: (d) => `${d.what} has no image for ${d.wanted}; it has ${d.has}`,
  PLATFORM_MISMATCH: (d) => `${d.what} is listed for ${d.expected} and was built for ${d.got}`,
  CREDENTIALS_MALFORMED: (d) => `${d.file} is malformed: ${d.why}`,
  CREDENTIAL_HELPER_MISSING: (d) => `${d.file} names ${d.helper}, and there is no such program`,
  CREDENTIAL_HELPER_FAILED: (d) => `${d.helper} failed: ${d.why}`,
}

/** `why` of an UNREACHABLE host that answers, but not to us. */
export const NO_TLS = 'it does not speak TLS'

/** How `why` of a REFERENCE_INVALID begins where an image was named in place of its repository. */
export const REPOSITORY_MEANT = 'a repository is meant'

type Hint<C extends RegistryCode> = string | ((d: RegistryFailures[C]) => string)

/** What to do next. */
const HINT: { readonly [C in RegistryCode]: Hint<C> } = {
  REFERENCE_INVALID: (d) =>
    d.why.startsWith(REPOSITORY_MEANT)
      ? 'write it as registry.example.com/team/app'
      : 'write it as registry.example.com/team/app:1.2',
  PLAIN_HTTP_REFUSED: (d) => `use https, or name the host yourself: --plain-http=${d.host}`,
  UNREACHABLE: (d) =>
    d.why === NO_TLS
      ? `if plain http is meant, say so: --plain-http=${d.host}`
      : 'is it running, and is its name right?',
  CERTIFICATE_REFUSED: (d) =>
    `give the certificate of the authority that signed it: ${d.option ?? '--registry-ca'} FILE`,
  UNAUTHORIZED: (d) => login(d.host),
  DENIED: (d) => `${login(d.host)}, with an account that may read it`,
  RATE_LIMITED: (d) => `log in for a higher limit: ${login(d.host)}`,
  UNKNOWN_MANIFEST: 'push it first, or check the name',
  UNKNOWN_BLOB: 'push the image again, with everything below it',
  DIGEST_MISMATCH: 'the registry, or something in front of it, changed the bytes; do not use this image',
  SIZE_MISMATCH: 'the registry, or something in front of it, changed the bytes; do not use this image',
  UNSUPPORTED_MANIFEST: 'push the image again with a current docker, buildx, podman or skopeo',
  CREDENTIAL_HELPER_MISSING: (d) => `install ${d.helper}, or take it out of ${d.file} and log in again`,
  CREDENTIALS_MALFORMED: (d) => `mend ${d.file}, or move it away and log in again`,
  TIMEOUT: 'try again; --verbose says what it waits for',
  UNAVAILABLE: 'try again; nothing of it was used',
  BAD_RESPONSE: 'is it a registry? look for a proxy in between',
  REDIRECT_REFUSED: 'have the registry mended; nothing of an image comes from there',
  REALM_REFUSED: 'do not log in there; have the registry mended',
  TOO_LARGE: 'nothing of it is used; is it the image that was meant?',
  MEDIA_TYPE_MISMATCH: 'something is passed off as what it is not; do not use this image',
  MALFORMED_MANIFEST: 'push the image again with a current docker, buildx, podman or skopeo',
  TOO_MANY_PARTS: 'nothing of it is used; no honest image has that many',
  PLATFORM_NOT_FOUND: 'build and push it for that platform, or name another',
  PLATFORM_MISMATCH: 'do not use the image; build it again for the platform that is listed',
  CREDENTIAL_HELPER_FAILED: (d) => `run ${d.helper} by hand to see why, or log in again`,
}

/** A registry that could not be asked, or whose answer must not be used. Branch on `code`. */
export class RegistryError<C extends RegistryCode = RegistryCode> extends Error {
  override readonly name = 'RegistryError'
  readonly code: C
  readonly detail: RegistryFailures[C]
  constructor(code: C, detail: RegistryFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  /** The next step, in one lower-case sentence. */
  get hint(): string {
    const hint: Hint<C> = HINT[this.code]
    return typeof hint === 'function' ? hint(this.detail) : hint
  }
}

/** The union to switch over: narrowing on `code` narrows `detail`. */
export type AnyRegistryError = { readonly [C in RegistryCode]: RegistryError<C> }[RegistryCode]

export function isRegistryError(error: unknown): error is AnyRegistryError {
  return error instanceof RegistryError
}

/**
 * Text from outside, fit for a terminal and a log: no control or direction characters, and not endless.
 * A registry's error message may carry escape sequences.
 */
export function printable(text: string, most = 200): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Z}]+/gu, ' ').trim()
  return clean.length > most ? `${clean.slice(0, most)}…` : clean
}

function seconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${Math.round(milliseconds / 1000)} s`
}

/** Without a host it is Docker Hub that docker logs in to. */
function login(host: string): string {
  return host === 'registry-1.docker.io' ? 'docker login' : `docker login ${host}`
}
