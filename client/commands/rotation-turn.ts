/** One rotation of a repository at a time from one home. */
import { join } from 'node:path'
import { hash } from '../../keys/digest.ts'
import { ensureFolder } from '../../keys/folder.ts'
import type { Context } from '../context.ts'
import { isClientError } from '../trust/errors.ts'
import { withLock } from '../trust/lock.ts'
import { CommandError } from './errors.ts'

/** Enough to see that an owner is dead. Whoever lives may wait for a passphrase, or for others. */
const PATIENCE_MS = 500

/**
 * Two at once would each make a key, and one would write its record of the theft over that of the other. `what`: a
 * repository, or a key that leaves many. Throws ROTATION_RUNNING.
 */
export async function inTurn<T>(
  { paths: { state } }: Pick<Context, 'paths'>,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  const folder = join(state, `rotating-${hash('sha256', Buffer.from(what)).slice(0, 16)}`)
  let begun = false
  const begin = async () => {
    begun = true
    return await work()
  }
  try {
    ensureFolder(state)
    return await withLock(folder, begin, PATIENCE_MS)
  } catch (error) {
    if (begun || !isClientError(error) || error.code !== 'CACHE_LOCKED') throw error
    throw new CommandError('ROTATION_RUNNING', { what, holder: error.detail.holder }, { cause: error })
  }
}
