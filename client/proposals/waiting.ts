import type { ServerApi } from '../server-api.ts'
import { isPublishError } from '../publish/errors.ts'

/** Of the server's refusals those that leave nothing to tell: a reader's token, none, or another server than ours. */
const NOT_FOR_US: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'DENIED', 'NOT_THERE', 'UPDATE_REFUSED', 'BAD_ANSWER'])

/** How many proposals wait for signatures, by the server's word; undefined where it does not tell us. */
export async function proposalsWaiting({ proposals }: Pick<ServerApi, 'proposals'>): Promise<number | undefined> {
  try {
    return (await proposals.list()).filter(({ stale }) => !stale).length
  } catch (error) {
    if (isPublishError(error) && NOT_FOR_US.has(error.code)) return undefined
    throw error
  }
}
