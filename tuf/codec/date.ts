/** `YYYY-MM-DDTHH:MM:SSZ` (specification 4.2), a moment that exists: no fractions, no offsets, no second spelling. */
export function parseDate(text: string): number | undefined {
  const milliseconds = FORM.test(text) ? Date.parse(text) : Number.NaN
  return printDate(milliseconds) === text ? milliseconds : undefined
}

/** Cut to whole seconds; undefined outside the years 0 to 9999, which the form cannot hold. */
export function printDate(milliseconds: number): string | undefined {
  if (!(milliseconds >= FIRST && milliseconds <= LAST)) return undefined
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}

const FORM = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/
const FIRST = Date.parse('0000-01-01T00:00:00.000Z')
const LAST = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * A date as Go writes and reads it (RFC 3339): up to nine digits of a second's fraction, and an offset where it is not
 * UTC. What is finer than a millisecond is cut off, so that a file expires no later than it says.
 */
export function parseGoDate(text: string): number | undefined {
  const [, seconds = '', fraction = '', sign, hours = '0', minutes = '0'] = GO_FORM.exec(text) ?? []
  const utc = parseDate(`${seconds}Z`)
  if (utc === undefined || Number(hours) > 23 || Number(minutes) > 59) return undefined
  const offset = (Number(hours) * 60 + Number(minutes)) * 60_000
  return utc + Number(fraction.slice(0, 3).padEnd(3, '0')) - (sign === '-' ? -offset : offset)
}

const GO_FORM = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):(\d{2}))$/
