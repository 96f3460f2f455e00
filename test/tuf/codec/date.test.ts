import t from 'tap'
import { parseDate, printDate } from '../../../tuf/codec/date.ts'

const REFUSED = [
  '2026-06-01',
  '2026-06-01T00:00:00',
  '2026-06-01T00:00:00z',
  '2026-06-01t00:00:00Z',
  '2026-06-01 00:00:00Z',
  '2026-06-01T00:00:00.000Z',
  '2026-06-01T00:00:00+00:00',
  '2026-06-01T00:00Z',
  '2026-02-29T00:00:00Z',
  '2026-04-31T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-06-01T24:00:00Z',
  '2026-06-01T00:60:00Z',
  '2026-06-30T23:59:60Z',
  '+002026-06-01T00:00:00Z',
  '12026-06-01T00:00:00Z',
  ' 2026-06-01T00:00:00Z',
  '2026-06-01T00:00:00Z\n',
  '٢٠٢٦-06-01T00:00:00Z',
  '',
]
for (const text of REFUSED) {
  await t.test(`refuses ${JSON.stringify(text)}`, async (t) => t.equal(parseDate(text), undefined))
}

await t.test('reads the one form, leap days and the last second of the last year included', async (t) => {
  for (const text of ['1970-01-01T00:00:00Z', '2028-02-29T12:30:45Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z']) {
    const milliseconds = parseDate(text)
    t.equal(milliseconds, Date.parse(text))
    t.equal(printDate(milliseconds ?? 0), text)
  }
})

await t.test('cuts to whole seconds, and prints no year that does not fit', async (t) => {
  t.equal(printDate(1999), '1970-01-01T00:00:01Z')
  for (const outside of [Number.NaN, Infinity, 8.64e15, -8.64e15, Date.parse('+010000-01-01T00:00:00Z')]) {
    t.equal(printDate(outside), undefined)
  }
})
