import { setTimeout as delay } from 'node:timers/promises'
import { isRegistryError } from './errors.ts'
import { isTransient } from './http.ts'
import type { RegistryLimits } from './limits.ts'

export type Patience = {
  readonly limits: RegistryLimits
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>
  /** Between 0 and 1: many jobs that failed together must not come back together. */
  readonly random: () => number
}

export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  }
}

/** Counts as progress, and forgives the failures before it. */
const PROGRESS = 1024 * 1024

/**
 * Does something that may be done again, again, while what went wrong may pass: a broken connection, 429, 5xx.
 * `done` counts what earlier tries have kept, for work that goes on where it stopped.
 */
export async function retrying<T>(
  patience: Patience,
  signal: AbortSignal | undefined,
  task: () => Promise<T>,
  done: () => number = () => 0,
): Promise<T> {
  let failures = 0
  for (let before = done(); ; before = done()) {
    try {
      return await task()
    } catch (error) {
      failures = done() - before >= PROGRESS ? 1 : failures + 1
      const wait = waitAfter(error, failures, patience)
      if (wait === undefined) throw error
      await patience.sleep(wait, signal)
    }
  }
}

/** undefined: there is no point in trying again. */
function waitAfter(error: unknown, failures: number, { limits, random }: Patience): number | undefined {
  if (!isRegistryError(error) || failures > limits.retries) return undefined
  if (error.code === 'RATE_LIMITED' || error.code === 'UNAVAILABLE') {
    const { seconds } = error.detail
    if (seconds !== undefined) return seconds * 1000 <= limits.retryAfterMs ? seconds * 1000 : undefined
  } else if (!isTransient(error)) return undefined
  return limits.backoffMs * 2 ** (failures - 1) * (0.5 + random() / 2)
}

/**
 * `Retry-After` in whole seconds, from either of its forms (RFC 9110, 10.2.3). A date is held against the answer's own
 * `Date`: the two clocks that count are both the server's.
 */
export function parseRetryAfter(text: string | undefined, date: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[0-9]{1,9}$/.test(text)) return Number(text)
  const wait = parseDate(text) - parseDate(date ?? '')
  return Number.isNaN(wait) ? undefined : Math.max(0, Math.ceil(wait / 1000))
}

const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

function parseDate(text: string): number {
  return HTTP_DATE.test(text) ? Date.parse(text) : Number.NaN
}
