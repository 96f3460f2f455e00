/** What can go wrong on the wire, before any protocol above it has a say. */
export type HttpFailures = {
  /**
   * Whose authorities its certificate was judged by. `by`: where they are kept for this one server; `given`: the file that
   * this run named.
   */
  readonly NETWORK: { readonly url: string; readonly reason: string; readonly by?: string; readonly given?: string }
  readonly TIMEOUT: { readonly url: string; readonly milliseconds: number }
  /** `limit` in bytes. */
  readonly TOO_LARGE: { readonly what: string; readonly limit: number }
  readonly PLAIN_HTTP_REFUSED: { readonly host: string }
  readonly SCHEME_REFUSED: { readonly url: string }
}
export type HttpCode = keyof HttpFailures

const SENTENCE: { readonly [C in HttpCode]: (d: HttpFailures[C]) => string } = {
  NETWORK: unreached,
  TIMEOUT: (d) => `${d.url} took too long: given up after ${d.milliseconds} ms`,
  TOO_LARGE: (d) => `${d.what} is larger than ${d.limit} bytes`,
  PLAIN_HTTP_REFUSED: (d) => `${d.host} would be spoken to in plain http, which anyone on the way can read and change`,
  SCHEME_REFUSED: (d) => `${d.url} is neither https nor http`,
}

const HINT: { readonly [C in HttpCode]: (d: HttpFailures[C]) => string } = {
  NETWORK: reachHint,
  TIMEOUT: (d) => runningHint(d.url),
  PLAIN_HTTP_REFUSED: (d) => `use https, or name the host yourself: --plain-http=${d.host}`,
  TOO_LARGE: () => 'is that the URL of the trust server? --server URL names another',
  SCHEME_REFUSED: () => 'write it as https://trust.example.com',
}

/** What Node and OpenSSL call a certificate that they do not take. */
const CERTIFICATE = /CERT|^UNABLE_TO_|^ERR_TLS_/

export function refusesCertificate(reason: string): boolean {
  return CERTIFICATE.test(reason)
}

const WORDS: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'nothing listens there'],
  ['ECONNRESET', 'the connection was cut'],
  ['EAI_AGAIN', 'its name cannot be looked up now'],
  ['EHOSTUNREACH', 'no way leads there'],
  ['ENETUNREACH', 'no way leads there'],
  ['ENOTFOUND', 'nobody knows that name'],
  ['EPROTO', 'what answers there speaks no TLS'],
  ['ETIMEDOUT', 'nothing answered'],
])

export function unreached({ url, reason, by: kept, given }: HttpFailures['NETWORK']): string {
  if (!refusesCertificate(reason)) return `${url} could not be reached: ${WORDS.get(reason) ?? 'it failed'} (${reason})`
  const by = kept ?? given
  const untrusting = by === undefined ? 'this machine does not trust' : `the authority in ${by} does not vouch for`
  return `${originOf(url)} showed a certificate that ${untrusting} (${reason})`
}

/** What to do next. A certificate is refused for its date or its name as well, and no `--ca` helps against that. */
export function reachHint({ url, reason, by, given }: HttpFailures['NETWORK']): string {
  if (reason.includes('NOT_YET_VALID'))
    return "is this machine's clock right? if it is, the server's is not, or its certificate is for later"
  if (reason.includes('EXPIRED'))
    return "is this machine's clock right? if it is, its certificate or that of an authority above it has expired, and is to be renewed"
  if (reason === 'ERR_TLS_CERT_ALTNAME_INVALID') return 'its certificate is for another name: is the URL right?'
  if (reason === 'UNABLE_TO_GET_ISSUER_CERT')
    return 'the file of the authority must hold the root of the chain, and the server must send the certificates between'
  if (refusesCertificate(reason) && by !== undefined)
    return `ask whoever runs that server whether it has another authority now; if so, ${by} is to name that one: "ca: FILE" in a rule, tagseal trust add PATTERN --ca FILE for a pin`
  if (refusesCertificate(reason) && given !== undefined)
    return `${given} was given, and holds no authority of that server, or the server does not send the certificates between: name another with --ca FILE or TAGSEAL_CA`
  if (refusesCertificate(reason))
    return 'give the certificate of the authority that signed it: --ca FILE or TAGSEAL_CA; tagseal trust add PATTERN --ca FILE keeps it with a pin, "ca: FILE" with the server of a rule'
  const mayMeanTls = url.startsWith('http:') && MET_TLS.test(reason)
  return mayMeanTls
    ? `it may speak TLS: ${originOf(url).replace(/^http:/, 'https:')}; ${runningHint(url)}`
    : runningHint(url)
}

/** How a server that speaks TLS ends a connection that does not, as Node sees it. */
const MET_TLS = /^(?:ECONNRESET|EPIPE|UND_ERR_SOCKET|HPE_)/

export function runningHint(url: string): string {
  return `is the trust server ${originOf(url)} right, and running? --server URL, or "server:" in the rule of a policy, names another`
}

/** `sent`: where the token came from that was sent. */
export function tokenHint({ sent }: { readonly sent?: string }): string {
  return sent === undefined
    ? 'give a token with --token-file FILE or TAGSEAL_TOKEN_FILE'
    : `is it for that server, and whole? its operator sees with "tagseal-server token list" whether it still counts, and makes another`
}

function originOf(url: string): string {
  return URL.parse(url)?.origin ?? url
}

/** A request that got no usable answer. Branch on `code`. */
export class HttpError<C extends HttpCode = HttpCode> extends Error {
  override readonly name = 'HttpError'
  readonly code: C
  readonly detail: HttpFailures[C]
  constructor(code: C, detail: HttpFailures[C], options?: ErrorOptions) {
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
export type AnyHttpError = { readonly [C in HttpCode]: HttpError<C> }[HttpCode]

export function isHttpError(error: unknown): error is AnyHttpError {
  return error instanceof HttpError
}
