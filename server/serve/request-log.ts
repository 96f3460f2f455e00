import type { Logger } from 'pino'
import { withoutTokens } from '../auth/tokens.ts'
import { infoLines } from '../log.ts'
import type { Metrics } from '../metrics.ts'

/** A request that is over. */
export type Answered = {
  readonly id: string
  readonly method: string | undefined
  readonly url: string
  /** The pattern of its route; undefined where none was found. */
  readonly route: string | undefined
  /** Undefined for a caller who did not wait for the answer. */
  readonly status: number | undefined
  readonly ms: number | undefined
  /** The name of the caller's token. */
  readonly by: string | undefined
}

/** In place of a status, for a caller who did not wait for one; nginx says so too. */
const HUNG_UP = 499

/** Counts it and writes its line: address and status, never a header, for one of them is the token. */
export function makeRequestLog({
  logger,
  metrics,
}: {
  readonly logger: Logger
  readonly metrics: Pick<Metrics, 'request'>
}): (answered: Answered) => void {
  const info = infoLines(logger, 'request')
  return ({ id, method, url, route, status = HUNG_UP, ms, by }) => {
    metrics.request(route ?? 'none', status)
    // Some put the token into the address as well.
    const line = { request: id, method, url: withoutTokens(url), status, ms: ms && rounded(ms), by }
    if (status >= 500) logger.error(line, 'request')
    else info(line)
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100
}
