/** Every refusal of the signer: its code, its facts, its HTTP status, its sentence. */
export type RefusalFailures = {
  readonly INVALID_REQUEST: { readonly reason: string }
  readonly NOT_FOUND: { readonly what: string }
  readonly TOO_LARGE: { readonly what: string; readonly limit: number }
  readonly UNSUPPORTED_MEDIA_TYPE: { readonly wanted: string }
  readonly TOO_MANY_REQUESTS: { readonly what: string }
  /** No key of that id was made here for that role of that repository. */
  readonly KEY_NOT_HELD: { readonly keyid: string; readonly repository: string; readonly role: string }
  readonly TOO_MANY_KEYS: { readonly what: string; readonly limit: number }
  /** What came is no file of that role in that dialect, to the last byte. */
  readonly NOT_METADATA: { readonly role: string; readonly reason: string }
  /** Another file was signed under that version, or a higher one. */
  readonly VERSION_SPENT: { readonly role: string; readonly last: number; readonly got: number }
  /** Further up than honest publishing gets by now. */
  readonly VERSION_TOO_FAR: { readonly what: string; readonly got: number; readonly most: number }
  readonly EXPIRED_ALREADY: { readonly role: string; readonly expires: string; readonly now: string }
  readonly EXPIRES_TOO_LATE: { readonly role: string; readonly expires: string; readonly latest: string }
  /** What was published before is not listed any more. */
  readonly LISTING_DROPPED: { readonly role: string; readonly listed: string; readonly published: number }
  readonly LISTING_WENT_BACK: {
    readonly role: string
    readonly listed: string
    readonly published: number
    readonly got: number
  }
  readonly SIGNING_UNAVAILABLE: { readonly reason: string }
  readonly STORAGE_UNAVAILABLE: { readonly reason: string }
  readonly UNAVAILABLE: { readonly reason: string }
  readonly INTERNAL: { readonly request: string }
}
export type RefusalCode = keyof RefusalFailures

export const REFUSAL_STATUS = {
  INVALID_REQUEST: 400,
  NOT_FOUND: 404,
  TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  TOO_MANY_REQUESTS: 429,
  KEY_NOT_HELD: 404,
  TOO_MANY_KEYS: 429,
  NOT_METADATA: 422,
  VERSION_SPENT: 409,
  VERSION_TOO_FAR: 409,
  EXPIRED_ALREADY: 422,
  EXPIRES_TOO_LATE: 422,
  LISTING_DROPPED: 409,
  LISTING_WENT_BACK: 409,
  SIGNING_UNAVAILABLE: 503,
  STORAGE_UNAVAILABLE: 503,
  UNAVAILABLE: 503,
  INTERNAL: 500,
} as const satisfies Record<RefusalCode, number>

const SENTENCE: { readonly [C in RefusalCode]: (d: RefusalFailures[C]) => string } = {
  INVALID_REQUEST: (d) => `the request is not understood: ${d.reason}`,
  NOT_FOUND: (d) => `there is no ${d.what}`,
  TOO_LARGE: (d) => `${d.what} is larger than ${d.limit} bytes`,
  UNSUPPORTED_MEDIA_TYPE: (d) => `the body must be ${d.wanted}`,
  TOO_MANY_REQUESTS: (d) => `too much at once: ${d.what}; try again in a second`,
  KEY_NOT_HELD: (d) => `no key ${d.keyid} was made here for the ${d.role} of ${d.repository}`,
  TOO_MANY_KEYS: (d) => `${d.what} has ${d.limit} keys, and gets no more`,
  NOT_METADATA: (d) => `that is no ${d.role}: ${d.reason}`,
  VERSION_SPENT: (d) => `${d.role} ${d.last} is signed, so that ${d.got} would be a second file or a step back`,
  VERSION_TOO_FAR: (d) => `${d.what} goes to version ${d.got}, and by now ${d.most} is the highest that is signed`,
  EXPIRED_ALREADY: (d) => `the ${d.role} expires at ${d.expires}, and it is ${d.now}`,
  EXPIRES_TOO_LATE: (d) => `the ${d.role} expires at ${d.expires}, and ${d.latest} is the latest that is signed now`,
  LISTING_DROPPED: (d) => `the ${d.role} does not list ${d.listed} any more, which was published at ${d.published}`,
  LISTING_WENT_BACK: (d) => `the ${d.role} lists ${d.listed} at ${d.got}, which was published at ${d.published}`,
  SIGNING_UNAVAILABLE: (d) => `the key cannot be used: ${d.reason}`,
  STORAGE_UNAVAILABLE: (d) => d.reason,
  UNAVAILABLE: (d) => `the signer cannot sign now: ${d.reason}`,
  INTERNAL: (d) => `something went wrong here; the log has it under ${d.request}`,
}

/** A request that is not granted. Nothing was signed for it. */
export class Refusal<C extends RefusalCode = RefusalCode> extends Error {
  override readonly name = 'Refusal'
  readonly code: C
  readonly detail: RefusalFailures[C]
  constructor(code: C, detail: RefusalFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }
  get status(): number {
    return REFUSAL_STATUS[this.code]
  }
}

export function isRefusal(error: unknown): error is Refusal {
  return error instanceof Refusal
}
