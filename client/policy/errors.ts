/** What is wrong with a policy file. Line and column count from 1, as editors do. */
export type PolicyFailures = {
  readonly POLICY_MALFORMED: {
    readonly path: string
    readonly line: number
    readonly column: number
    readonly why: string
  }
  readonly POLICY_UNUSABLE: { readonly path: string; readonly why: string }
}
export type PolicyCode = keyof PolicyFailures

const SENTENCE: { readonly [C in PolicyCode]: (d: PolicyFailures[C]) => string } = {
  POLICY_MALFORMED: (d) => `${d.path}:${d.line}:${d.column}: ${d.why}`,
  POLICY_UNUSABLE: (d) => `${d.path} cannot be used: ${d.why}`,
}

const HINT: { readonly [C in PolicyCode]: string } = {
  POLICY_MALFORMED: 'mend that line; what a rule may say is in docs/guides/gateway.md',
  POLICY_UNUSABLE: 'check the name and the permissions, or name another file with --policy FILE',
}

/** A policy that cannot be followed. Branch on `code`. */
export class PolicyError<C extends PolicyCode = PolicyCode> extends Error {
  override readonly name = 'PolicyError'
  readonly code: C
  readonly detail: PolicyFailures[C]
  constructor(code: C, detail: PolicyFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  /** What to do next. */
  get hint(): string {
    return HINT[this.code]
  }
}
