/** Files in which this machine keeps what is under way: read with a bound, and what keeps them from it said in words. */
import { readFileSync, statSync } from 'node:fs'
import { errnoOf, errnoText } from '../trust/atomic.ts'
import { ClientError } from '../trust/errors.ts'

/** undefined where there is none. Throws CONFIG_MALFORMED for more than `most` bytes, and CONFIG_UNUSABLE. */
export function readRecord(path: string, most: number): Uint8Array | undefined {
  return usable(path, () => readIfThere(path, most))
}

/** Throws CONFIG_UNUSABLE, with the file's name, for what the system refuses. */
export function usable<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    const errno = errnoOf(cause)
    if (errno === undefined) throw cause
    throw new ClientError('CONFIG_UNUSABLE', { path, reason: errnoText(errno) }, { cause })
  }
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
