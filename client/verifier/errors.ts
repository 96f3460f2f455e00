/** Why a question of containerd's is not answered with a yes, beside what the verdict says of the image. */
export type VerifierFailures = {
  /** containerd, or whoever calls in its place, does not ask as it should. */
  readonly QUESTION_MALFORMED: { readonly what: string; readonly why: string }
  /** The name carries a digest, and it is about to be pulled as another one. */
  readonly OTHER_DIGEST: { readonly image: string; readonly digest: string }
  /** `starting`: how much of it was over, in milliseconds, before we could do anything. */
  readonly TOO_SLOW: { readonly seconds: number; readonly starting: number }
  readonly AGENT_UNUSABLE: { readonly path: string; readonly why: string }
}
export type VerifierCode = keyof VerifierFailures

const SENTENCE: { readonly [C in VerifierCode]: (d: VerifierFailures[C]) => string } = {
  QUESTION_MALFORMED: (d) => `${d.what}: ${d.why}`,
  OTHER_DIGEST: (d) => `${d.image} is about to be pulled as ${d.digest}`,
  TOO_SLOW: ({ seconds, starting }) => {
    const asking = Math.max(seconds * 1000 - starting, 0)
    return `nothing was found out within ${seconds} s: ${tenths(starting)} s until this program ran, ${tenths(asking)} s for answers`
  },
  AGENT_UNUSABLE: (d) => `the agent at ${d.path} cannot be asked: ${d.why}`,
}

function tenths(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1)
}

const HINT: { readonly [C in VerifierCode]: string } = {
  QUESTION_MALFORMED:
    'call it as containerd does: -name REF -digest sha256:... -stdin-media-type TYPE < descriptor.json',
  TOO_SLOW:
    'have an agent keep the answers ready: tagseal verifier --serve SOCKET, or tagseal gateway --agent-socket SOCKET',
  AGENT_UNUSABLE: 'only root and the user of the agent may write to the folder of its socket; is the agent well?',
  OTHER_DIGEST: 'do not use the image; name it by its tag alone, or by the digest that is signed',
}

/** Branch on `code`. */
export class VerifierError<C extends VerifierCode = VerifierCode> extends Error {
  override readonly name = 'VerifierError'
  readonly code: C
  readonly detail: VerifierFailures[C]
  constructor(code: C, detail: VerifierFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  /** What to do next. */
  get hint(): string {
    return HINT[this.code]
  }
}
