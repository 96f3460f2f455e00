import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CommandError } from '../commands/errors.ts'
import { reasonOf } from '../files.ts'
import { errnoOf } from '../trust/atomic.ts'

const MODE = 0o700

/** Not by `recursive`: where a parent says that there is nothing and takes nothing, as /proc does, Node never ends. */
export async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return
  const parent = dirname(path)
  if (parent !== path) await makeFolder(parent)
  try {
    await mkdir(path, { mode: MODE })
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST' || !(await isFolder(path))) throw error
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
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
