/** Why an image is not admitted although the metadata that speaks of it is sound: this machine's rules say no. */
export type VerdictFailures = {
  /** No rule of the policy matches: what nobody spoke of is refused. */
  readonly NO_RULE: { readonly repository: string; readonly policy: string }
  readonly REFUSED_BY_RULE: RuleAt
  /** Admitted, and no answer for whoever asks for a signed digest. */
  readonly UNSIGNED_BY_RULE: RuleAt
  /** `expected` is what the caller named, `signed` what the signatures say. */
  readonly DIGEST_DIFFERS: { readonly image: string; readonly expected: string; readonly signed: string }
  /** No signed tag means it, and nothing that a signed tag means leads to it. */
  readonly DIGEST_NOT_SIGNED: { readonly repository: string; readonly digest: string }
  /** The role that signed it is none of those whose word counts here. */
  readonly ROLE_NOT_COUNTED: { readonly image: string; readonly role: string; readonly counted: readonly string[] }
  /** `found`: the digest that the role signed instead; undefined where it did not sign the tag at all. */
  readonly ROLE_REQUIRED: { readonly image: string; readonly role: string; readonly found: string | undefined }
  readonly THRESHOLD_REQUIRED: {
    readonly image: string
    readonly role: string
    readonly need: number
    readonly have: number
  }
  /** A layer that is to be fetched from elsewhere: whoever fetches it goes past this machine. */
  readonly FOREIGN_CONTENT: { readonly what: string; readonly url: string }
}
/** `where` it is written: `policy.yaml:12:5`. */
type RuleAt = { readonly repository: string; readonly rule: string; readonly where: string }
export type VerdictCode = keyof VerdictFailures

const SENTENCE: { readonly [C in VerdictCode]: (d: VerdictFailures[C]) => string } = {
  NO_RULE: (d) => `no rule of the policy speaks of ${d.repository}`,
  REFUSED_BY_RULE: (d) => `the rule for ${d.rule} refuses ${d.repository}`,
  UNSIGNED_BY_RULE: (d) =>
    `the rule for ${d.rule} admits ${d.repository} unsigned, so that there is no signed digest of it`,
  DIGEST_DIFFERS: (d) => `${d.image} is signed as ${d.signed}, not as ${d.expected}`,
  DIGEST_NOT_SIGNED: (d) => `no signed tag of ${d.repository} leads to ${d.digest}`,
  ROLE_NOT_COUNTED: (d) => `${d.image} is signed by ${d.role}, and here ${d.counted.join(', ')} count`,
  ROLE_REQUIRED: (d) =>
    d.found === undefined
      ? `${d.image} is not signed by ${d.role}, which has to sign it as well`
      : `${d.image} is signed by ${d.role} as ${d.found}, which is another image`,
  THRESHOLD_REQUIRED: (d) => `${d.image} is signed by ${d.role}, which needs ${d.have} keys where ${d.need} are asked`,
  FOREIGN_CONTENT: (d) => `${d.what} is to be fetched from ${d.url}, where nobody checks it`,
}

const HINT: { readonly [C in VerdictCode]: (d: VerdictFailures[C]) => string } = {
  NO_RULE: (d) => `add one to ${d.policy}: "tagseal policy test --policy FILE" checks it`,
  REFUSED_BY_RULE: (d) => `it stands at ${d.where}`,
  UNSIGNED_BY_RULE: (d) => `pull it without tagseal or through its gateway, or ask for signatures at ${d.where}`,
  DIGEST_DIFFERS: () => 'do not use the digest that was given, unless you know why it differs',
  DIGEST_NOT_SIGNED: (d) => `tagseal list ${d.repository} shows what is signed`,
  ROLE_NOT_COUNTED: () => 'have it signed by a role that counts, or name this one under roles in the policy',
  ROLE_REQUIRED: (d) => `have that role sign the same image: tagseal sign ${d.image} --role ${d.role}`,
  THRESHOLD_REQUIRED: (d) =>
    `have its threshold raised: tagseal delegation add ${repositoryOf(d.image)} ${d.role} --threshold ${d.need}`,
  FOREIGN_CONTENT: () => 'push the image with its layers, or do not use it',
}

function repositoryOf(image: string): string {
  return image.slice(0, image.lastIndexOf(':'))
}

/** An image that is refused. Branch on `code`. */
export class VerdictError<C extends VerdictCode = VerdictCode> extends Error {
  override readonly name = 'VerdictError'
  readonly code: C
  readonly detail: VerdictFailures[C]
  constructor(code: C, detail: VerdictFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  /** What to do next. */
  get hint(): string {
    return HINT[this.code](this.detail)
  }
}
