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
