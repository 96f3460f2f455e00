/** Why an object is not let into a cluster, beside what the verdict says of its images. */
export type AdmissionFailures = {
  /** Nothing that a Kubernetes API server would send: another method, place or type. */
  readonly NOT_A_REVIEW: { readonly why: string }
  readonly REVIEW_TOO_LARGE: { readonly limit: number }
  /** A review that is incomplete, or says one thing in one place and another in the next. */
  readonly REVIEW_MALFORMED: { readonly what: string; readonly why: string }
  /** Where images stand in it nobody said. */
  readonly KIND_NOT_NAMED: { readonly resource: string }
  readonly OBJECT_MALFORMED: { readonly where: string; readonly why: string }
  readonly TOO_MANY_IMAGES: { readonly limit: number }
  /** It is signed, and the object names it in a way that may mean something else tomorrow. */
  readonly DIGEST_MISSING: { readonly image: string; readonly signed: string }
  readonly TOO_SLOW: { readonly seconds: number }
  /** All reviews under way together are as large as they may be. */
  readonly TOO_BUSY: { readonly limit: number }
}
export type AdmissionCode = keyof AdmissionFailures

const SENTENCE: { readonly [C in AdmissionCode]: (d: AdmissionFailures[C]) => string } = {
  NOT_A_REVIEW: (d) => `this is no review of admission: ${d.why}`,
  REVIEW_TOO_LARGE: (d) => `the review is larger than ${d.limit} bytes`,
  REVIEW_MALFORMED: (d) => `${d.what}: ${d.why}`,
  KIND_NOT_NAMED: (d) => `it is not known where images stand in ${d.resource}`,
  OBJECT_MALFORMED: (d) => `${d.where}: ${d.why}`,
  TOO_MANY_IMAGES: (d) => `it names more than ${d.limit} images`,
  DIGEST_MISSING: (d) => `${d.image} names no digest; ${d.signed} is what is signed`,
  TOO_SLOW: (d) => `nothing was found out within ${d.seconds} s`,
  TOO_BUSY: (d) => `the reviews under way fill the ${d.limit} bytes that they may take together`,
}

const HINT: { readonly [C in AdmissionCode]: (d: AdmissionFailures[C]) => string } = {
  KIND_NOT_NAMED: (d) =>
    /^[^/]*\..*\./.test(d.resource)
      ? `list ${d.resource} under workloads in the policy, or take it out of the webhook's rules`
      : "take it out of the webhook's rules: tagseal admission --manifests prints those that are meant",
  DIGEST_MISSING: () => 'is the mutating webhook installed, and does no other one change images after it?',
  TOO_SLOW: () => 'try again; does the trust server answer?',
  TOO_BUSY: () =>
    'try again; if it stays so, have more replicas, or raise --review-memory and the memory of the container',
  NOT_A_REVIEW: () => 'point the webhook to /mutate or /validate: tagseal admission --manifests prints it',
  REVIEW_TOO_LARGE: () => 'make the object smaller',
  REVIEW_MALFORMED: () => 'only API servers should reach the webhook; find out who else does',
  OBJECT_MALFORMED: () => 'mend the object',
  TOO_MANY_IMAGES: () => 'split the object',
}

/** Branch on `code`. */
export class AdmissionError<C extends AdmissionCode = AdmissionCode> extends Error {
  override readonly name = 'AdmissionError'
  readonly code: C
  readonly detail: AdmissionFailures[C]
  constructor(code: C, detail: AdmissionFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  /** What to do next. */
  get hint(): string {
    return HINT[this.code](this.detail)
  }
}

export function isAdmissionError(error: unknown): error is AdmissionError {
  return error instanceof AdmissionError
}
