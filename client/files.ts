import { open } from 'node:fs/promises'
import { CommandError } from './commands/errors.ts'

/** A file that was named on the command line, whole. Throws FILE_UNREADABLE, also for one larger than it can be. */
export async function readUserFile(path: string, most: number): Promise<Uint8Array> {
  try {
    const file = await open(path)
    try {
      const buffer = Buffer.alloc(most + 1)
      let size = 0
      while (size <= most) {
        const { bytesRead } = await file.read(buffer, size, buffer.length - size)
        if (bytesRead === 0) return buffer.subarray(0, size)
        size += bytesRead
      }
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new CommandError('FILE_UNREADABLE', { path, why: reasonOf(cause) }, { cause })
  }
  throw new CommandError('FILE_UNREADABLE', { path, why: `it is larger than ${most} bytes` })
}

const MAX_CERTIFICATES = 4 * 1024 * 1024

/** Of a file without a certificate OpenSSL says nothing, and of an empty one Node makes its own authorities. */
export async function readAuthorities(path: string): Promise<string> {
  const text = Buffer.from(await readUserFile(path, MAX_CERTIFICATES)).toString('utf8')
  if (/^-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/m.test(text)) return text
  throw new CommandError('FILE_MALFORMED', { path, why: 'there is no certificate in it, in PEM' })
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
