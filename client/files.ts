import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { CommandError } from './commands/errors.ts'
import { shellWord } from './shell-word.ts'

/** A file that was named on the command line, whole. Throws FILE_UNREADABLE, also for one larger than it can be. */
export async function readUserFile(path: string, most: number): Promise<Uint8Array> {
  const bytes = await readUpTo(path, most)
  if (bytes.length <= most) return bytes
  throw new CommandError('FILE_UNREADABLE', { path, why: `it is larger than ${most} bytes` })
}

/** One byte more than `most` of what is larger. */
async function readUpTo(path: string, most: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(most + 1)
  try {
    const size = statSync(path).isFile() ? readAtOnce(path, buffer) : await readAsItComes(path, buffer)
    return buffer.subarray(0, size)
  } catch (cause) {
    throw new CommandError('FILE_UNREADABLE', { path, why: reasonOf(cause) }, { cause })
  }
}

/** What lies on a disk comes at once: four trips to other threads would take 2 ms of every command that has a `--ca`. */
function readAtOnce(path: string, buffer: Buffer): number {
  const file = openSync(path, 'r')
  try {
    let size = 0
    while (size < buffer.length) {
      const read = readSync(file, buffer, size, buffer.length - size, null)
      if (read === 0) break
      size += read
    }
    return size
  } finally {
    closeSync(file)
  }
}

/** Of a pipe, such as `<(command)` makes, nobody knows when it comes, and Ctrl-C has to end the wait. */
async function readAsItComes(path: string, buffer: Buffer): Promise<number> {
  const file = await open(path)
  try {
    let size = 0
    while (size < buffer.length) {
      const { bytesRead } = await file.read(buffer, size, buffer.length - size)
      if (bytesRead === 0) break
      size += bytesRead
    }
    return size
  } finally {
    await file.close()
  }
}

export const MAX_CERTIFICATES = 4 * 1024 * 1024

/** Of a file without a certificate OpenSSL says nothing, and of an empty one Node makes its own authorities. */
export async function readAuthorities(path: string): Promise<string> {
  return authoritiesOf({ path, bytes: await readUserFile(path, MAX_CERTIFICATES) })
}

/** What was read of a file that somebody named. */
export type NamedFile = { readonly path: string; readonly bytes: Uint8Array }

export function authoritiesOf(file: NamedFile): string {
  refuseDer(file)
  const text = Buffer.from(file.bytes).toString('utf8')
  if (/^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/m.test(text)) return text
  throw new CommandError('FILE_MALFORMED', { path: file.path, why: 'there is no certificate in it, in PEM' })
}

/** A certificate as other programs may write it: a sequence, with its length in two bytes. Throws FILE_MALFORMED. */
export function refuseDer({ path, bytes }: NamedFile): void {
  if (bytes[0] !== 0x30 || bytes[1] !== 0x82) return
  const next = `make PEM of it, and name that: openssl x509 -inform DER -in ${shellWord(path)} -out ${shellWord(`${path}.pem`)}`
  throw new CommandError('FILE_MALFORMED', { path, why: 'it is DER, and PEM is meant', next })
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['EACCES', 'permission denied'],
  ['EISDIR', 'it is a folder'],
  ['ENOTDIR', 'a part of the path is no folder'],
  ['ENOSPC', 'the disk is full'],
  ['EROFS', 'the file system is read-only'],
])

/** The same of a file that is to be made: it is its folder that is not there. */
export function whyUnwritten(error: unknown): string {
  const why =
    error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'there is no such folder' : reasonOf(error)
  return `it cannot be written: ${why}`
}

export function reasonOf(error: unknown): string {
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown error'
  return REASONS.get(code) ?? code
}
