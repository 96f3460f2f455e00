import type { IncomingHttpHeaders } from 'node:http'
import type { Dialect } from '../storage/store.ts'

/**
 * Whether an answer goes out in Notary's words. A repository's dialect decides, except for callers who ask for JSON by
 * name, as ours do; where there is no repository yet, the old clients are known by the header that Go does not send.
 */
export function wantsNotary({ accept }: IncomingHttpHeaders, dialect: Dialect | undefined): boolean {
  if (dialect === undefined) return accept === undefined
  return dialect === 'notary-v1' && accept?.includes('application/json') !== true
}
