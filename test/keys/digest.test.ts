import { createHash } from 'node:crypto'
import t from 'tap'
import { fromBase64, fromHex, sameBytes, toBase64, toHex } from '../../keys/bytes.ts'
import { hash, hasher, hashToken, sameSecret } from '../../keys/digest.ts'
import { randomBytes, randomName, randomToken } from '../../keys/random.ts'

await t.test('hashes at once and in parts', async (t) => {
  const bytes = randomBytes(1000)
  const state = hasher('sha512')
  state.update(bytes.subarray(0, 1))
  state.update(bytes.subarray(1))
  t.equal(state.hex(), hash('sha512', bytes))
})

await t.test('a token is stored as its sha256', async (t) => {
  t.equal(hashToken('tst_abc'), createHash('sha256').update('tst_abc').digest('hex'))
})

const PAIRS: readonly (readonly [string, string, boolean])[] = [
  ['', '', true],
  ['a', 'a', true],
  ['a', 'b', false],
  ['a', 'ab', false],
  ['é', 'e\u0301', false],
]
for (const [a, b, same] of PAIRS) {
  await t.test(`${JSON.stringify(a)} and ${JSON.stringify(b)} are ${same ? 'the same' : 'different'}`, async (t) => {
    t.equal(sameSecret(a, b), same)
  })
}

await t.test('random names, tokens and bytes do not meet', async (t) => {
  const made = new Set(
    Array.from({ length: 1000 }, () => [randomName(), randomToken('tst_'), toHex(randomBytes(32))]).flat(),
  )
  t.equal(made.size, 3000)
  t.match(randomName(), /^[0-9a-f]{32}$/)
  t.match(randomToken('tst_'), /^tst_[A-Za-z0-9_-]{43}$/)
  t.equal(randomBytes(7).length, 7)
})

await t.test('hex and base64 come back, and have one spelling each', async (t) => {
  for (let length = 0; length < 70; length++) {
    const bytes = randomBytes(length)
    t.strictSame(fromHex(toHex(bytes)), bytes)
    t.strictSame(fromBase64(toBase64(bytes)), bytes)
    t.equal(toBase64(bytes), Buffer.from(bytes).toString('base64'))
  }
  for (const text of ['0', 'AB', '0g', ' 00', '00\n', '0x']) t.equal(fromHex(text), undefined, text)
  for (const text of ['A', 'AA', 'AAA', 'AB==', 'AAB=', 'AA==\n', ' AA==', 'AA=A', '-_==', 'A===', '====']) {
    t.equal(fromBase64(text), undefined, text)
  }
  t.notOk(sameBytes(Uint8Array.of(1), Uint8Array.of(1, 2)))
  t.notOk(sameBytes(Uint8Array.of(1), Uint8Array.of(2)))
})
