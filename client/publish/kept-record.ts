/** Files in which this machine keeps what is under way: read with a bound, and what keeps them from it said in words. */
import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { ensureFolder } from '../../keys/folder.ts'
import { errnoOf, errnoText, writeAtomically } from '../trust/atomic.ts'
import { ClientError } from '../trust/errors.ts'

/** undefined where there is none. Throws CONFIG_MALFORMED for more than `most` bytes, and CONFIG_UNUSABLE. */
export function readRecord(path: string, most: number): Uint8Array | undefined {
  return usable(path, () => readIfThere(path, most))
}

/** Durable when it returns, in a folder that is made for it. Throws CONFIG_UNUSABLE. */
export async function writeRecord(path: string, text: string): Promise<void> {
  usable(path, () => ensureFolder(dirname(path)))
  try {
    await writeAtomically(path, Buffer.from(text))
  } catch (cause) {
    throw told(path, cause)
  }
}

function usable<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw told(path, cause)
  }
}

/** What the system refused, with the file's name. */
function told(path: string, cause: unknown): unknown {
  const errno = errnoOf(cause)
  return errno === undefined ? cause : new ClientError('CONFIG_UNUSABLE', { path, reason: errnoText(errno) }, { cause })
}

function readIfThere(path: string, most: number): Uint8Array | undefined {
  try {
    if (statSync(path).size > most) throw new ClientError('CONFIG_MALFORMED', { path, what: 'it is too large' })
    return readFileSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}
