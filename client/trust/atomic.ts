import { renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { randomName } from '../../keys/random.ts'

/** Ends the name of a file that is being written. What a killed process left behind is recognised by it. */
export const TEMPORARY = '.tmp'

/**
 * Replaces a file whole: whoever reads, even after a crash, finds the old bytes or the new ones.
 * Written beside the file, since a rename is atomic within one file system only; nothing is left after a failure.
 */
export async function writeAtomically(path: string, bytes: Uint8Array, mode = 0o600): Promise<void> {
  const temporary = temporaryFor(path)
  try {
    await writeDurably(temporary, bytes, mode)
    await rename(temporary, path)
  } catch (error) {
    removeIfThere(temporary)
    throw error
  }
  await syncFolder(dirname(path)) // else the rename itself may be lost
}

/**
 * The same for a file that can be fetched again: a crash of the machine may lose it or cut it off, which whoever reads
 * it must be able to tell. Synchronous, because a few kilobytes reach the page cache sooner than another thread.
 */
export function writeWhole(path: string, bytes: Uint8Array, mode = 0o600): void {
  const temporary = temporaryFor(path)
  try {
    writeFileSync(temporary, bytes, { flag: 'wx', mode })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

/** A name that no other process writes to; in the folder of `path`, and hidden. */
export function temporaryFor(path: string): string {
  return join(dirname(path), `.${randomName()}${TEMPORARY}`)
}

export function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** `ENOENT` and the like, of an error that the operating system gave; our own errors have a `code` too. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

async function writeDurably(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode) // never through a link that somebody laid
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** What the operating system refused, in words. */
export function errnoText(errno: string): string {
  return REASONS.get(errno) ?? errno
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'permission denied'],
  ['EPERM', 'not permitted'],
  ['EROFS', 'the file system is read-only'],
  ['ENOSPC', 'the disk is full'],
  ['EDQUOT', 'the disk quota is used up'],
  ['ENOTDIR', 'a part of the path is no folder'],
  ['EISDIR', 'a folder is where a file should be'],
  ['ENAMETOOLONG', 'the name is too long'],
])
