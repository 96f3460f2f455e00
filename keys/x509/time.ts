import type { DerElement } from '../der.ts'
import { KeyError } from '../errors.ts'

/** UTCTime for the years 1950 to 2049 and GeneralizedTime for others, both in whole seconds of UTC (RFC 5280 4.1.2.5). */
export function readTime({ tag, body }: DerElement): number {
  const text = String.fromCharCode(...body)
  const [, year = '', month, day, hour, minute, second] = FORMS.get(tag)?.exec(text) ?? []
  const full = year.length === 2 ? `${Number(year) < 50 ? 20 : 19}${year}` : year
  const date = `${full}-${month}-${day}T${hour}:${minute}:${second}.000Z`
  const milliseconds = Date.parse(date)
  if (Number.isNaN(milliseconds) || new Date(milliseconds).toISOString() !== date) {
    throw new KeyError('KEY_MALFORMED', { what: 'certificate', why: 'a date in it does not exist' })
  }
  return milliseconds
}

const REST = '(\\d\\d)(\\d\\d)(\\d\\d)(\\d\\d)(\\d\\d)Z'
const FORMS: ReadonlyMap<number, RegExp> = new Map([
  [0x17, new RegExp(`^(\\d\\d)${REST}$`)],
  [0x18, new RegExp(`^(\\d\\d\\d\\d)${REST}$`)],
])
