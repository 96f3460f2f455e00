import { TrustError } from '../errors.ts'
import { instant } from '../model/ids.ts'
import type { Instant } from '../model/ids.ts'

/** `YYYY-MM-DDTHH:MM:SSZ` (specification 4.2), a day that exists. No fractions, no offsets, no second spelling. */
export function decodeDate(text: string, what: string): Instant {
  const milliseconds = FORM.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(milliseconds) || encodeDate(milliseconds) !== text) {
    throw new TrustError('MALFORMED', { what, got: text.slice(0, 40) })
  }
  return instant(milliseconds)
}

/** Cut to whole seconds. */
export function encodeDate(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}

const FORM = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/
