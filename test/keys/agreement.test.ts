import * as fc from 'fast-check'
import t from 'tap'
import { concat } from '../../keys/bytes.ts'
import { generateKey } from '../../keys/native/generate.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { writePem } from '../../keys/pem.ts'
import { portableSuite } from '../../keys/portable/suite.ts'
import { ALGORITHMS } from '../../keys/schemes/table.ts'
import { toTufFields } from '../../keys/tuf-key.ts'
import { listed, TUF_NAMES } from '../support/tuf-key.ts'

/** Some bytes changed, cut off or added: what tells strict readers apart. */
const change = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(600), byte: fc.nat(255) }),
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(600), byte: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.integer({ min: 1, max: 3 }), byte: fc.constant(0) }),
  fc.record({ kind: fc.constant('add' as const), at: fc.constant(0), byte: fc.nat(255) }),
)
type Change = { kind: 'set' | 'flip' | 'cut' | 'add'; at: number; byte: number }

function changed(bytes: Uint8Array, { kind, at, byte }: Change): Uint8Array {
  const index = at % bytes.length
  switch (kind) {
    case 'set':
      return bytes.with(index, byte)
    case 'flip':
      return bytes.with(index, (bytes[index] ?? 0) ^ (1 << byte))
    case 'cut':
      return bytes.subarray(0, -at)
    default:
      return concat(bytes, Uint8Array.of(byte))
  }
}

for (const algorithm of ALGORITHMS) {
  const secret = await generateKey(algorithm)
  const payload = new TextEncoder().encode('a payload')
  const signature = await secret.sign(payload)
  const key = listed(toTufFields(secret.public))

  await t.test(`${algorithm}: both suites say the same of a changed signature, and neither throws`, async () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = changes.reduce(changed, signature)
        const [native, portable] = [nativeSuite, portableSuite].map((s) => s.open(key)?.verify(payload, bytes))
        return native === portable && native === (Buffer.compare(bytes, signature) === 0)
      }),
      { numRuns: 150 },
    )
  })

  await t.test(`${algorithm}: both suites say the same of a changed key, and neither throws`, async () => {
    fc.assert(
      fc.property(change, (one) => {
        const spki = changed(secret.public.spki, one)
        const text =
          algorithm === 'ed25519' ? Buffer.from(spki.subarray(12)).toString('hex') : writePem('PUBLIC KEY', spki)
        const asked = listed({ ...TUF_NAMES[algorithm], public: text })
        const [native, portable] = [nativeSuite.open(asked), portableSuite.open(asked)]
        return (
          native?.identity === portable?.identity &&
          native?.verify(payload, signature) === portable?.verify(payload, signature)
        )
      }),
      { numRuns: 150 },
    )
  })

  await t.test(`${algorithm}: noise is no signature and no key`, async () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (noise) => {
        const text =
          algorithm === 'ed25519' ? Buffer.from(noise).toString('hex') : `-----BEGIN PUBLIC KEY-----\n${noise.join()}`
        const asked = listed({ ...TUF_NAMES[algorithm], public: text })
        return [nativeSuite, portableSuite].every(
          (suite) =>
            suite.open(key)?.verify(payload, noise) === false && suite.open(asked)?.verify(payload, noise) !== true,
        )
      }),
      { numRuns: 100 },
    )
  })
  secret.close()
}
