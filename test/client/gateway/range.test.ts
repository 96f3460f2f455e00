import t from 'tap'
import { readRange } from '../../../client/gateway/range.ts'

const READ: Record<string, [string | undefined, object | undefined]> = {
  'no range as the whole': [undefined, undefined],
  'a part from the middle to the end': ['bytes=4-', { start: 4, end: 9 }],
  'a part in the middle': ['bytes=4-5', { start: 4, end: 5 }],
  'a part that goes beyond the end': ['bytes=8-100', { start: 8, end: 9 }],
  'the last bytes': ['bytes=-3', { start: 7, end: 9 }],
  'more last bytes than there are': ['bytes=-30', { start: 0, end: 9 }],
  'several parts as the whole': ['bytes=0-1,4-5', undefined],
  'parts of something else as the whole': ['lines=0-1', undefined],
  'nonsense as the whole': ['bytes=a-b', undefined],
  'a part that ends before it begins as the whole': ['bytes=5-4', undefined],
  'a number that no blob reaches as the whole': [`bytes=${'9'.repeat(20)}-`, undefined],
}
for (const [name, [header, range]] of Object.entries(READ)) {
  await t.test(`reads ${name}`, (t) => {
    t.same(readRange(header, 10), range)
    t.end()
  })
}
for (const header of ['bytes=10-', 'bytes=999999-', 'bytes=-0']) {
  await t.test(`refuses ${header} of ten bytes`, (t) => {
    t.throws(() => readRange(header, 10), { code: 'RANGE_INVALID', detail: { size: 10 } })
    t.end()
  })
}
