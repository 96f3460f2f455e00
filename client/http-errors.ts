/** What can go wrong on the wire, before any protocol above it has a say. */
export type HttpFailures = {
  readonly NETWORK: { readonly url: string; readonly reason: string }
  readonly TIMEOUT: { readonly url: string; readonly milliseconds: number }
  /** `limit` in bytes. */
  readonly TOO_LARGE: { readonly what: string; readonly limit: number }
  readonly PLAIN_HTTP_REFUSED: { readonly host: string }
  readonly SCHEME_REFUSED: { readonly url: string }
}
export type HttpCode = keyof HttpFailures

const SENTENCE: { readonly [C in HttpCode]: (d: HttpFailures[C]) => string } = {
  NETWORK: (d) => `${d.url} could not be reached (${d.reason})`,
  TIMEOUT: (d) => `${d.url} took too long: given up after ${d.milliseconds} ms`,
  TOO_LARGE: (d) => `${d.what} is larger than ${d.limit} bytes`,
  PLAIN_HTTP_REFUSED: (d) => `${d.host} would be spoken to in plain http, which anyone on the way can read and change`,
  SCHEME_REFUSED: (d) => `${d.url} is neither https nor http`,
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
}

/** The union to switch over: narrowing on `code` narrows `detail`. */
export type AnyHttpError = { readonly [C in HttpCode]: HttpError<C> }[HttpCode]

export function isHttpError(error: unknown): error is AnyHttpError {
  return error instanceof HttpError
}
