/** Publishes again what a server lost that was restored from a backup. */
import { isTrustError, SNAPSHOT } from '../../tuf/index.ts'
import { HttpError } from '../http-errors.ts'
import type { Context } from '../context.ts'
import type { ServerApi } from '../server-api.ts'
import { isClientError } from '../trust/errors.ts'
import type { Repository, View } from '../trust/repository.ts'
import { isPublishError } from './errors.ts'

type Parties = {
  readonly trusted: Pick<Repository, 'lost' | 'refreshToPublish'>
  readonly server: Pick<ServerApi, 'upload'>
}

/**
 * A refresh to publish on top of. Where the server shows less than this machine saw, it may have been restored from a
 * backup: what is kept here, signed as it is, goes there again, if the server says that it misses it. A mirror that shows
 * an old state gains nothing by it, and neither does a server that lies: both are sent what they had before.
 */
export async function refreshBringingBack(context: Context, parties: Parties): Promise<View> {
  const { signal } = context
  try {
    return await parties.trusted.refreshToPublish(signal)
  } catch (error) {
    if (!isLess(error) || !(await broughtBack(context, parties))) throw error
    return await parties.trusted.refreshToPublish(signal)
  }
}

function isLess(error: unknown): boolean {
  return isTrustError(error) && (error.code === 'ROLLBACK' || error.code === 'ROLE_DISAPPEARED')
}

/** Why it did not work is told beside why it was tried, which stays the error: a server that lies may say anything. */
async function broughtBack({ terminal, signal }: Context, { trusted, server }: Parties): Promise<boolean> {
  try {
    const { files, snapshot } = await trusted.lost(signal)
    if (files.size === 0) return false
    const names = [...files.keys()].join(', ')
    terminal.note(`the server shows less than this machine saw: publishing ${names} again`)
    const outcome = await server.upload(files).catch((error: unknown) => {
      // Of a repository whose publishers sign the snapshot, that one is missing too.
      if (snapshot === undefined || !isPublishError(error) || error.code !== 'UPDATE_REFUSED') throw error
      return server.upload(new Map(files).set(SNAPSHOT, snapshot))
    })
    return outcome.kind === 'stored'
  } catch (error) {
    const isKnown = isTrustError(error) || isClientError(error) || isPublishError(error) || error instanceof HttpError
    if (!isKnown) throw error
    terminal.note(`that was of no use: ${error.message}`)
    return false
  }
}
