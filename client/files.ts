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

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['EACCES', 'permission denied'],
  ['EISDIR', 'it is a folder'],
  ['ENOTDIR', 'a part of the path is no folder'],
])

export function reasonOf(error: unknown): string {
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown error'
  return REASONS.get(code) ?? code
}
