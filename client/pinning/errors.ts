/** Why files, lock and signatures do not go together. */
export type LockFailures = {
  readonly LOCK_MISSING: { readonly path: string }
  /** Somebody changed it by hand, or a merge did. */
  readonly LOCK_EDITED: { readonly path: string; readonly why: string }
  /** A file names an image that the lock does not, or the other way round. */
  readonly LOCK_INCOMPLETE: { readonly image: string; readonly lacks: 'lock' | 'files' }
  readonly LOCK_STALE: { readonly image: string; readonly locked: string; readonly signed: string }
  /** The lock was made from a state that is newer than what the trust server shows. */
  readonly LOCK_AHEAD: {
    readonly repository: string
    readonly role: string
    readonly locked: number
    readonly got: number
  }
  readonly STATE_MOVED: { readonly repository: string }
}
export type LockCode = keyof LockFailures

const SENTENCE: { readonly [C in LockCode]: (d: LockFailures[C]) => string } = {
  LOCK_MISSING: (d) => `there is no ${d.path}`,
  LOCK_EDITED: (d) => `${d.path} is not as it was written: ${d.why}`,
  LOCK_INCOMPLETE: (d) =>
    d.lacks === 'lock' ? `${d.image} is not in the lock` : `${d.image} is locked, and no file names it`,
  LOCK_STALE: (d) => `${d.image} is locked as ${d.locked}, and signed as ${d.signed}`,
  LOCK_AHEAD: (d) =>
    `${d.role} of ${d.repository} was at version ${d.locked} when it was locked, and is shown as ${d.got}`,
  STATE_MOVED: (d) => `what is signed in ${d.repository} changed while it was read`,
}

const HINT: { readonly [C in LockCode]: string } = {
  LOCK_MISSING: 'tagseal pin FILE... writes it',
  LOCK_EDITED: 'tagseal pin FILE... writes it anew; look at what changes',
  LOCK_INCOMPLETE:
    'name all files that the lock is for; tagseal pin FILE... writes it anew, for the files that it is given',
  LOCK_STALE: 'tagseal pin FILE... takes what is signed now',
  LOCK_AHEAD: 'somebody shows old metadata; do not use the images',
  STATE_MOVED: 'run it again',
}

/** Branch on `code`. */
export class LockError<C extends LockCode = LockCode> extends Error {
  override readonly name = 'LockError'
  readonly code: C
  readonly detail: LockFailures[C]
  constructor(code: C, detail: LockFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  /** What to do next. */
  get hint(): string {
    return HINT[this.code]
  }
}
