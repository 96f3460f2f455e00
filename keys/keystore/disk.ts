import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { chmod, link, open, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Stats } from 'node:fs'
import { ensureFolder } from '../folder.ts'
import { inWords, isKeyError, KeyError } from '../errors.ts'
import { randomName } from '../random.ts'

/**
 * Files that only their owner may read. What is found looser is refused, not mended: somebody may have read it
 * already, and that is for its owner to judge.
 *
 * On Windows, which has no such modes, only the atomic writing remains.
 */
const FOLDER_MODE = 0o700
const FILE_MODE = 0o400
const MAX_FILE = 64 * 1024

/** Makes the folder, or refuses one that others may use. */
export async function usePrivateFolder(dir: string): Promise<void> {
  await makeFolder(dir)
  const stats = ioNow(dir, () => lstatSync(dir))
  if (stats.isSymbolicLink()) {
    const [path, real] = [quoted(dir), `"$(readlink -f ${quoted(dir)})"`]
    throw loose(dir, 'is a symbolic link', `REAL=${real} && rm ${path} && mv "$REAL" ${path}`)
  }
  refuseForeign(dir, stats)
  if (stats.mode & 0o077 && onPosix()) throw loose(dir, looserThan(stats, FOLDER_MODE), `chmod 700 ${quoted(dir)}`)
}

/** Makes the folder where there is none; one that is there stays as it is. */
export async function makeFolder(dir: string): Promise<void> {
  ioNow(dir, () => ensureFolder(dir))
}

/** The names in a folder; temporary ones among them. */
export async function namesIn(dir: string): Promise<string[]> {
  return ioNow(dir, () => readdirSync(dir))
}

/**
 * A file's bytes, or undefined where there is none. The checks are made on the opened file, so it cannot be swapped.
 * Reading is synchronous: small local files, whose key must be on its way before slower things are waited for.
 */
export async function readPrivateFile(path: string): Promise<Uint8Array | undefined> {
  const file = openExisting(path)
  if (file === undefined) return undefined
  try {
    const stats = ioNow(path, () => fstatSync(file))
    refuseForeign(path, stats)
    if (stats.mode & 0o7777 & ~FILE_MODE && onPosix())
      throw loose(path, looserThan(stats, FILE_MODE), `chmod 400 ${quoted(path)}`)
    if (!stats.isFile() || stats.size > MAX_FILE) throw new KeyError('KEYSTORE_IO', { path, why: 'it is no key file' })
    return ioNow(path, () => readFileSync(file))
  } finally {
    closeSync(file)
  }
}

/**
 * A secret that somebody else keeps (a passphrase, a key-encryption key): bytes, and the mode if it is a regular
 * file, for its reader to judge. undefined where there is none; never more than `limit` bytes.
 */
export async function readSmallFile(
  path: string,
  limit: number,
): Promise<{ readonly bytes: Uint8Array; readonly mode: number } | undefined> {
  try {
    const file = openSync(path, constants.O_RDONLY)
    try {
      const stats = fstatSync(file)
      return { bytes: readUpTo(file, limit, path), mode: stats.isFile() && onPosix() ? stats.mode & 0o7777 : 0 }
    } finally {
      closeSync(file)
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error instanceof KeyError ? error : failure(path, error)
  }
}

/** The same of a file that somebody named for this run: what cannot be read is theirs to mend, and no fault of a disk. */
export async function readGivenFile(
  path: string,
  limit: number,
  unusable: (why: string, options?: ErrorOptions) => KeyError,
): ReturnType<typeof readSmallFile> {
  try {
    return await readSmallFile(path, limit)
  } catch (error) {
    if (!isKeyError(error) || error.code !== 'KEYSTORE_IO') throw error
    throw unusable(inWords(error.detail.why), { cause: error })
  }
}

/**
 * A secret in a file that somebody else put there. Orchestrators mount secrets as links, owned by root and readable for
 * the service's group: that is allowed; what everybody may read or a group may change is not. Throws KEY_PERMISSIONS.
 */
export async function readNamedSecret(path: string, limit: number): Promise<Uint8Array | undefined> {
  const found = await readSmallFile(path, limit)
  if (found === undefined || (found.mode & 0o037) === 0) return found?.bytes
  found.bytes.fill(0)
  throw loose(path, 'may be read by everybody or changed by a group', `chmod 400 ${quoted(path)}`)
}

function readUpTo(file: number, limit: number, path: string): Uint8Array {
  const buffer = new Uint8Array(limit + 1)
  let length = 0
  while (length <= limit) {
    const bytesRead = readSync(file, buffer, length, buffer.length - length, null)
    if (bytesRead === 0) return buffer.subarray(0, length)
    length += bytesRead
  }
  buffer.fill(0)
  throw new KeyError('KEYSTORE_IO', { path, why: `it is longer than ${limit} bytes` })
}

function openExisting(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    if (codeOf(error) === 'ELOOP') {
      const target = `"$(readlink -f ${quoted(path)})"`
      throw loose(
        path,
        'is a symbolic link',
        `cp --remove-destination ${target} ${quoted(path)} && chmod 400 ${quoted(path)}`,
      )
    }
    throw failure(path, error)
  }
}

/** Stores a file that must not be there yet: whole and durable, or not at all. false where the name is taken. */
export async function writeNewFile(dir: string, name: string, bytes: Uint8Array): Promise<boolean> {
  const path = join(dir, name)
  return withTemporary(dir, bytes, async (temporary) => {
    try {
      await link(temporary, path) // unlike rename, it never replaces
      return true
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false
      throw failure(path, error)
    }
  })
}

/** Puts new content in the place of a file: a reader sees the old or the new, never a part. */
export async function replaceFile(dir: string, name: string, bytes: Uint8Array): Promise<void> {
  const path = join(dir, name)
  await withTemporary(dir, bytes, (temporary) => io(path, () => rename(temporary, path)))
}

export async function removeFile(dir: string, name: string): Promise<void> {
  const path = join(dir, name)
  await io(path, () => unlink(path))
  await syncFolder(dir)
}

async function withTemporary<T>(dir: string, bytes: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const temporary = join(dir, `.new-${randomName()}`)
  try {
    await io(temporary, () => writeDurably(temporary, bytes))
    const result = await use(temporary)
    return result
  } finally {
    await unlink(temporary).catch(() => undefined) // renamed away, or never made
    await syncFolder(dir)
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await chmod(path, FILE_MODE) // an odd umask may have taken the owner's bit
}

/** A name is durable when its folder is. Where folders cannot be opened (Windows), the file system must do. */
async function syncFolder(dir: string): Promise<void> {
  if (!onPosix()) return
  const folder = await io(dir, () => open(dir, constants.O_RDONLY))
  try {
    await io(dir, () => folder.sync())
  } finally {
    await folder.close()
  }
}

function refuseForeign(path: string, stats: Stats): void {
  const me = process.geteuid?.()
  if (me === undefined || stats.uid === me) return
  throw loose(path, `belongs to user ${stats.uid}, and you are ${me}`, `sudo chown ${me} ${quoted(path)}`)
}

function onPosix(): boolean {
  return process.geteuid !== undefined
}

function looserThan(stats: Stats, mode: number): string {
  const octal = (bits: number): string => (bits & 0o7777).toString(8).padStart(4, '0')
  return `has mode ${octal(stats.mode)}, looser than ${octal(mode)}`
}

export function loose(path: string, problem: string, mend: string): KeyError {
  return new KeyError('KEY_PERMISSIONS', { path, problem, mend })
}

/** As a shell takes it. */
export function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`
}

/** What the file system refuses becomes a KeyError with the path and the system's own word. */
async function io<T>(path: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (error) {
    throw failure(path, error)
  }
}

function ioNow<T>(path: string, use: () => T): T {
  try {
    return use()
  } catch (error) {
    throw failure(path, error)
  }
}

function failure(path: string, error: unknown): KeyError {
  return new KeyError('KEYSTORE_IO', { path, why: codeOf(error) ?? 'it failed' }, { cause: error })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
