import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ensureFolder } from '../../keys/folder.ts'
import { errnoOf, errnoText, removeIfThere, TEMPORARY, writeAtomically, writeWhole } from './atomic.ts'
import { SEEN } from './cache.ts'
import type { TrustCache } from './cache.ts'
import { ClientError } from './errors.ts'
import { withLock } from './lock.ts'

/** Longer than any write takes: what is older was left by a process that was killed. */
const ABANDONED_MS = 600_000
const LOCK = 'lock'

/**
 * One folder for one repository, mode 0700, made when the first file is stored.
 *
 * Synchronous where nothing waits for the disk: these files are small and were just read or written, and a trip through
 * the thread pool takes longer than all of the work.
 */
export function directoryCache(folder: string): TrustCache {
  return {
    place: folder,
    load: async (name) => await guarded(folder, async () => readIfThere(join(folder, plain(name)))),
    store: async (name, bytes) =>
      await guarded(folder, async () => {
        ensureFolder(folder)
        const path = join(folder, plain(name))
        if (isIrreplaceable(name)) await writeAtomically(path, bytes)
        else {
          // ext4 writes a replaced file out before it renames; one that is gone for a moment is only asked for again.
          if (name !== SEEN) removeIfThere(path)
          writeWhole(path, bytes)
        }
      }),
    drop: async (name) => await guarded(folder, async () => removeIfThere(join(folder, plain(name)))),
    dropAllBut: async (names) =>
      await guarded(folder, async () => {
        for (const name of readdirSync(folder)) {
          if (name.endsWith('.json') && !names.includes(name)) removeIfThere(join(folder, name))
        }
      }),
    lock: async (work) =>
      await guarded(folder, async () => {
        ensureFolder(folder)
        return await withLock(join(folder, LOCK), async () => {
          sweep(folder)
          return await work()
        })
      }),
  }
}

/**
 * The root is what trust starts from. Every other file is signed and listed, so that a damaged one is found out and
 * fetched again; and what was seen is as good after a crash as it was a moment before.
 */
function isIrreplaceable(name: string): boolean {
  return name === 'root.json'
}

/** Names are made by `cache.ts`; one that could leave the folder is a mistake of ours, not of a user. */
function plain(name: string): string {
  if (!/^[A-Za-z0-9%~_-][A-Za-z0-9%~._-]*$/.test(name)) throw new Error(`not a cache name: ${name}`)
  return name
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Removes what killed processes left half written. Under the lock, but writers need none: hence the age. */
function sweep(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith('.') || !name.endsWith(TEMPORARY)) continue
    const path = join(folder, name)
    if (Date.now() - writtenAt(path) > ABANDONED_MS) removeIfThere(path)
  }
}

/** Its writer may finish, and rename it, at any moment: then it is no litter. */
function writtenAt(path: string): number {
  try {
    return statSync(path).mtimeMs
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return Number.POSITIVE_INFINITY
    throw error
  }
}

/** What the operating system refuses is said once, here: which folder, and why. */
async function guarded<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const errno = errnoOf(cause)
    if (errno === undefined) throw cause
    throw new ClientError('CACHE_UNUSABLE', { path: folder, reason: errnoText(errno) }, { cause })
  }
}
