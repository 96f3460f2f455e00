import * as fc from 'fast-check'
import t from 'tap'
import { decodeHex, encodeHex } from '../../../tuf/index.ts'

await t.test('what it writes it reads back', async () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = encodeHex(bytes)
      return (
        text === Buffer.from(bytes).toString('hex') && Buffer.compare(decodeHex(text) ?? new Uint8Array(1), bytes) === 0
      )
    }),
  )
})

for (const text of ['A0', 'a', 'g0', '0x00', ' 00', '00 ', '0٠']) {
  await t.test(`refuses ${JSON.stringify(text)}: it has another spelling or none`, async (t) => {
    t.equal(decodeHex(text), undefined)
  })
}
