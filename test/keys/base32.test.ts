import { assert, constantFrom, property, string, uint8Array } from 'fast-check'
import t from 'tap'
import { fromBase32, toBase32 } from '../../keys/base32.ts'

/** RFC 4648, section 10, without the padding. */
const VECTORS = { '': '', f: 'MY', fo: 'MZXQ', foo: 'MZXW6', foob: 'MZXW6YQ', fooba: 'MZXW6YTB', foobar: 'MZXW6YTBOI' }

for (const [plain, coded] of Object.entries(VECTORS)) {
  await t.test(`"${plain}" is ${coded}, as RFC 4648 has it`, async (t) => {
    t.equal(toBase32(Buffer.from(plain)), coded)
    t.strictSame(fromBase32(coded), Uint8Array.from(Buffer.from(plain)))
  })
}

const REFUSED = {
  'a small letter': 'mY',
  'a letter that looks like another': 'M0',
  padding: 'MY======',
  'bits that are left over': 'MZ',
  'a letter too many': 'MYA',
}
for (const [name, text] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => t.equal(fromBase32(text), undefined))
}

await t.test('what is written is read again, and what is read is written again', async () => {
  assert(
    property(uint8Array({ maxLength: 80 }), (bytes) =>
      Buffer.from(bytes).equals(fromBase32(toBase32(bytes)) ?? Buffer.from('no')),
    ),
  )
  assert(
    property(string({ unit: constantFrom('A', 'B', 'M', 'Z', '2', '7'), maxLength: 40 }), (text) => {
      const bytes = fromBase32(text)
      return bytes === undefined || toBase32(bytes) === text
    }),
  )
})
