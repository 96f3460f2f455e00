import { TrustError } from '../errors.ts'
import { printDate } from './date.ts'

/** Whole seconds of UTC: both dialects read it, and Go writes it back as it is. Throws MALFORMED beyond the year 9999. */
export function writeDate(milliseconds: number): string {
  const text = printDate(milliseconds)
  if (text === undefined) throw new TrustError('MALFORMED', { what: 'date', got: `${milliseconds} ms since 1970` })
  return text
}
