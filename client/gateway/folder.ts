import { ensureFolder } from '../../keys/folder.ts'
import { CommandError } from '../commands/errors.ts'
import { reasonOf } from '../files.ts'
import { errnoOf } from '../trust/atomic.ts'

/** With those above it that are missing, for its owner alone. */
export async function makeFolder(path: string): Promise<void> {
  ensureFolder(path)
}

const WHY: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'it is not there, and cannot be made'],
  ['EEXIST', 'something that is no folder has that name'],
  ['EROFS', 'nothing can be written there'],
  ['ENOSPC', 'the disk is full'],
])

/** What the system says of a folder, in words. Throws IO. */
export async function inWords<T>(what: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (cause) {
    const why = WHY.get(errnoOf(cause) ?? '') ?? reasonOf(cause)
    throw new CommandError('IO', { what, why }, { cause })
  }
}
