/** What keeps a repository from moving here, beside metadata that must not be trusted. */
export type MovingFailures = {
  /** Nobody said whose roots to believe. */
  readonly PIN_NEEDED: { readonly repository: string; readonly found: readonly string[] }
  /** No root of the old server is the pinned one, or carries the signatures of the pinned keys. */
  readonly PIN_NOT_FOUND: { readonly repository: string; readonly found: readonly string[] }
  readonly NOT_NOTARY: { readonly repository: string }
  readonly TOO_MANY_ROOTS: { readonly version: number }
  readonly TOO_MANY_ROLES: { readonly repository: string; readonly limit: number }
  /** The server here cannot sign until a root names its keys, and the root's own keys are elsewhere. */
  readonly ROOT_KEY_NEEDED: { readonly repository: string; readonly keys: readonly string[] }
  /** There is another repository of that name here already. */
  readonly OTHER_HERE: { readonly repository: string; readonly server: string }
  /** Published at both servers since it moved. */
  readonly DIVERGED: { readonly repository: string; readonly role: string }
}
export type MovingCode = keyof MovingFailures

const SENTENCE: { readonly [C in MovingCode]: (d: MovingFailures[C]) => string } = {
  PIN_NEEDED: (d) => `nothing says which root of ${d.repository} is the right one`,
  PIN_NOT_FOUND: (d) => `no root of ${d.repository} on the old server is the pinned one`,
  NOT_NOTARY: (d) => `${d.repository} is no Notary repository there, and needs no import`,
  TOO_MANY_ROOTS: (d) => `its root has version ${d.version}, and nobody follows a chain that long`,
  TOO_MANY_ROLES: (d) => `${d.repository} has more than ${d.limit} roles`,
  ROOT_KEY_NEEDED: (d) =>
    `${d.repository} moves when its root names the keys of the server here, and no root key is here to sign that`,
  OTHER_HERE: (d) => `${d.server} has another repository ${d.repository}, which this one cannot follow`,
  DIVERGED: (d) => `${d.role} of ${d.repository} was published at both servers since it moved`,
}

const HINT: { readonly [C in MovingCode]: (d: MovingFailures[C]) => string } = {
  PIN_NEEDED: (d) =>
    `compare with "notary key list" or a machine that pulled before, then give --pin ${d.found[0] ?? 'ID'}, or --tofu to believe the old server`,
  PIN_NOT_FOUND: (d) => `it is signed by ${d.found.join(', ')}; do not move it unless you know why`,
  NOT_NOTARY: () => 'TUF 1.0 clients can go on with the server that it is on',
  ROOT_KEY_NEEDED: (d) =>
    `run it where one of these root keys is, with --private DIR or after tagseal key import: ${d.keys.join(', ')}`,
  DIVERGED: (d) => `sign here what is missing, and have nobody sign there: notary list ${d.repository}`,
  OTHER_HERE: () => 'look at both: tagseal status, and notary list',
  TOO_MANY_ROOTS: () => 'ask whoever made them; no honest repository has as many',
  TOO_MANY_ROLES: () => 'ask whoever made them; no honest repository has as many',
}

/** A repository that was not moved. Branch on `code`. */
export class MovingError<C extends MovingCode = MovingCode> extends Error {
  override readonly name = 'MovingError'
  readonly code: C
  readonly detail: MovingFailures[C]
  constructor(code: C, detail: MovingFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  get hint(): string {
    return HINT[this.code](this.detail)
  }
}
