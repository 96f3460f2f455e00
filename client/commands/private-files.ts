import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type ForeignKey, readForeignKeys } from '../../keys/keystore/foreign.ts'
import { isKeyError } from '../../keys/errors.ts'
import { readUserFile, reasonOf } from '../files.ts'
import { CommandError } from './errors.ts'

/** `notary key export` puts every key of a machine into one file. */
const MAX_PEM = 1024 * 1024
const MOST_FILES = 10_000
const DEEPEST = 8

/** A private key that waits to be imported, and the file it is in. */
export type FoundKey = { readonly file: string; readonly key: ForeignKey }

/** A file that was named and holds no private key as we read them. */
type BadFile = { readonly file: string; readonly error: Error }

export type FoundKeys = { readonly keys: readonly FoundKey[]; readonly bad: readonly BadFile[] }

/**
 * The private keys in the files that somebody named, and in those of folders: `~/.notary/private`,
 * `~/.docker/trust/private`. What else lies in a folder is passed over, and no link in it is followed.
 */
export async function findPrivateKeys(paths: readonly string[]): Promise<FoundKeys> {
  const keys: FoundKey[] = []
  const bad: BadFile[] = []
  for (const path of paths) {
    for (const file of await filesIn(path)) {
      try {
        keys.push(...(await keysOf(file, file === path)))
      } catch (error) {
        if (!isKeyError(error)) throw error
        bad.push({ file, error })
      }
    }
  }
  return { keys, bad }
}

async function keysOf(file: string, named: boolean): Promise<FoundKey[]> {
  const pem = Buffer.from(await readUserFile(file, MAX_PEM))
  try {
    if (!named && !pem.includes(' PRIVATE KEY-----')) return []
    return readForeignKeys(pem.toString('latin1')).map((key) => ({ file, key }))
  } finally {
    pem.fill(0)
  }
}

async function filesIn(path: string): Promise<readonly string[]> {
  try {
    if (!(await lstat(path)).isDirectory()) return [path]
    const found: string[] = []
    await walk(path, DEEPEST, found)
    return found.toSorted()
  } catch (cause) {
    if (cause instanceof CommandError) throw cause
    throw new CommandError('FILE_UNREADABLE', { path, why: reasonOf(cause) }, { cause })
  }
}

async function walk(folder: string, depth: number, found: string[]): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory() && depth > 0) await walk(path, depth - 1, found)
    else if (entry.isFile() && /\.(?:key|pem)$/.test(entry.name)) found.push(path)
    if (found.length > MOST_FILES) {
      throw new CommandError('FILE_UNREADABLE', { path: folder, why: `there are more than ${MOST_FILES} files in it` })
    }
  }
}
