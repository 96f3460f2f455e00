import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import t from 'tap'
import { decodeSeen, encodeSeen, mergeSeen } from '../../../client/trust/seen.ts'
import type { Seen } from '../../../client/trust/seen.ts'

const versions = fc.integer({ min: 0, max: 50 })
const listed = fc
  .array(fc.tuple(fc.constantFrom('targets', 'team', '__proto__', 'constructor', 'a/b'), versions))
  .map((entries) => new Map(entries))
const delegated = fc
  .array(
    fc.tuple(
      fc.constantFrom('targets/a', '__proto__'),
      fc.record({ keys: fc.constant('a,b'), version: versions }, { noNullPrototype: true }),
    ),
  )
  .map((entries) => new Map(entries))
const seen = (online: fc.Arbitrary<string>): fc.Arbitrary<Seen> =>
  fc.record(
    {
      anchor: fc.constantFrom('tofu', 'root ab'),
      under: fc.constantFrom('tofu', 'root ab'),
      time: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
      root: versions,
      rootHash: fc.constantFrom('', 'ab'),
      online,
      timestamp: versions,
      snapshot: versions,
      listed,
      delegated,
    },
    { noNullPrototype: true },
  )
const any = seen(fc.constantFrom('k1', 'k2'))
const same = seen(fc.constant('k1'))

await t.test('a record comes back as it was written', async (t) => {
  fc.assert(fc.property(any, (record) => t.strictSame(decodeSeen(encodeSeen(record)), record)))
})

await t.test('one changed or missing byte is noticed', async (t) => {
  fc.assert(
    fc.property(any, fc.nat(), fc.integer({ min: 1, max: 255 }), (record, at, change) => {
      const bytes = encodeSeen(record)
      const index = at % bytes.length
      t.equal(decodeSeen(bytes.map((byte, i) => (i === index ? byte ^ change : byte))), undefined)
      t.equal(decodeSeen(bytes.subarray(0, index)), undefined)
    }),
  )
  for (const junk of [
    `tagseal-seen-1 ${createHash('sha256').update('x').digest('hex')}\nx`,
    `tagseal-seen-1 ${createHash('sha256').update('null').digest('hex')}\nnull`,
    '',
    '\n',
    'tagseal-seen-1',
    'tagseal-seen-1 \n{}',
    '{}',
  ])
    t.equal(decodeSeen(Buffer.from(junk)), undefined)
})

await t.test('under equal keys two runs leave the higher version of everything, in either order', async (t) => {
  fc.assert(
    fc.property(same, same, (a, b) => {
      const both = mergeSeen(a, b)
      for (const name of ['time', 'root', 'timestamp', 'snapshot'] as const) {
        t.equal(both[name], Math.max(a[name], b[name]), name)
        t.equal(mergeSeen(b, a)[name], both[name], name)
      }
      for (const role of [...a.listed.keys(), ...b.listed.keys()]) {
        t.equal(both.listed.get(role), Math.max(a.listed.get(role) ?? 0, b.listed.get(role) ?? 0), role)
      }
    }),
  )
})

await t.test('under other keys the newer root decides, and time still never goes back', async (t) => {
  fc.assert(
    fc.property(any, any, (disk, mine) => {
      fc.pre(disk.online !== mine.online && disk.under === mine.under)
      const both = mergeSeen(disk, mine)
      t.equal(both.online, mine.root < disk.root ? disk.online : mine.online)
      t.equal(both.time, Math.max(disk.time, mine.time))
    }),
  )
})
