/** Why the storage did not do what it was asked. After any of them nothing of that call is stored. */
export type StorageFailures = {
  /** The disk, or the limit set for the database, is full. Reading goes on. */
  readonly STORAGE_FULL: { readonly path: string }
  /** The disk or the database answers with an error. */
  readonly STORAGE_UNAVAILABLE: { readonly path: string; readonly reason: string }
  /** Made by a newer program, which may have meant something else by the same tables. */
  readonly STORAGE_NEWER: { readonly path: string; readonly has: number; readonly known: number }
  /** Another server works on this folder. */
  readonly DATA_IN_USE: { readonly path: string }
}
export type StorageCode = keyof StorageFailures

const SENTENCE: { readonly [C in StorageCode]: (d: StorageFailures[C]) => string } = {
  STORAGE_FULL: (d) => `${d.path} cannot grow: the disk or the database's limit is full`,
  STORAGE_UNAVAILABLE: (d) => `${d.path} cannot be used: ${d.reason}`,
  STORAGE_NEWER: (d) => `${d.path} has schema ${d.has} and this program knows ${d.known}: it was made by a newer one`,
  DATA_IN_USE: (d) => `another tagseal-server works on ${d.path}`,
}

/** What to do next, for whoever runs a command on the folder. */
const HINT: { readonly [C in StorageCode]: string } = {
  STORAGE_FULL: 'make room on the disk, or raise maxDatabase; nothing that was acknowledged is lost',
  STORAGE_UNAVAILABLE: 'check the disk and that the folder is of this user, or name another with --data DIR',
  STORAGE_NEWER: 'run that newer tagseal-server, or put back a backup from before: tagseal-server restore FILE',
  DATA_IN_USE: 'stop that one first (SIGTERM), or name another folder with --data DIR',
}

/** Storage that failed. Branch on `code`. */
export class StorageError<C extends StorageCode = StorageCode> extends Error {
  override readonly name = 'StorageError'
  readonly code: C
  readonly detail: StorageFailures[C]
  constructor(code: C, detail: StorageFailures[C], options?: ErrorOptions) {
    super(SENTENCE[code](detail), options)
    this.code = code
    this.detail = detail
  }

  get hint(): string {
    return HINT[this.code]
  }
}

/** The union to switch over: narrowing on `code` narrows `detail`. */
export type AnyStorageError = { readonly [C in StorageCode]: StorageError<C> }[StorageCode]

export function isStorageError(error: unknown): error is AnyStorageError {
  return error instanceof StorageError
}
