import * as fc from 'fast-check'
import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  TARGETS,
  firstTargets,
  signersOf,
  threshold,
  tufCodec,
  verifyThreshold,
} from '../../../tuf/index.ts'
import type { Authority, KeyId, PublicKey, Signature, Signed, Targets, Verified } from '../../../tuf/index.ts'
import { NOW, keySet, signatureOf } from '../../support/simulator.ts'
import { renamed, signingKey } from '../../support/signing-key.ts'
import type { SigningKey } from '../../support/signing-key.ts'

const ALICE = signingKey()
const BOB = signingKey('ecdsa-p256')
const CAROL = signingKey('rsa-pss')
const DAVE = signingKey('ecdsa-p384')
const MALLORY = signingKey()
const ALICE_TWICE = renamed(ALICE, 'the same key')
const STRANGE: SigningKey = { ...MALLORY, public: { ...MALLORY.public, scheme: 'sphincs' } }
const CROSSED: SigningKey = { ...BOB, public: { ...BOB.public, keytype: 'ed25519', scheme: 'ed25519' } }
const LEGACY: SigningKey = { ...BOB, public: { ...BOB.public, keytype: 'ecdsa-sha2-nistp256' } }

const BODY = firstTargets({}, { codec: tufCodec, expires: NOW })
const PAYLOAD = tufCodec.encode(BODY)
const signatureBy = (key: SigningKey) => signatureOf(key, PAYLOAD)
const spoilt = (key: SigningKey) => ({ ...signatureBy(key), sig: signatureBy(MALLORY).sig })
const empty = (key: SigningKey) => ({ ...signatureBy(key), sig: new Uint8Array() })

type Case = {
  readonly keys: readonly SigningKey[]
  readonly need: number
  readonly signatures: readonly Signature[]
  readonly have: number
}

const CASES: Record<string, Case> = {
  'one of one key': { keys: [ALICE], need: 1, signatures: [signatureBy(ALICE)], have: 1 },
  'keys of all four algorithms': {
    keys: [ALICE, BOB, CAROL, DAVE],
    need: 4,
    signatures: [ALICE, BOB, CAROL, DAVE].map(signatureBy),
    have: 4,
  },
  'two of three keys': { keys: [ALICE, BOB, CAROL], need: 2, signatures: [CAROL, ALICE].map(signatureBy), have: 2 },
  'more than are needed': { keys: [ALICE, BOB], need: 1, signatures: [ALICE, BOB].map(signatureBy), have: 2 },
  'a good signature beside a wrong one': {
    keys: [ALICE, BOB],
    need: 1,
    signatures: [spoilt(BOB), signatureBy(ALICE)],
    have: 1,
  },
  'a good signature beside one not given yet': {
    keys: [ALICE, BOB],
    need: 1,
    signatures: [empty(BOB), signatureBy(ALICE)],
    have: 1,
  },
  'a good signature beside that of a stranger': {
    keys: [ALICE],
    need: 1,
    signatures: [signatureBy(MALLORY), signatureBy(ALICE)],
    have: 1,
  },
  'a key of an older keytype': { keys: [LEGACY], need: 1, signatures: [signatureBy(LEGACY)], have: 1 },
  'no signatures': { keys: [ALICE], need: 1, signatures: [], have: 0 },
  'a stranger': { keys: [ALICE], need: 1, signatures: [signatureBy(MALLORY)], have: 0 },
  'a stranger under the id of a key': {
    keys: [ALICE],
    need: 1,
    signatures: [{ ...signatureBy(MALLORY), keyid: ALICE.id }],
    have: 0,
  },
  'the signature of another payload': {
    keys: [ALICE],
    need: 1,
    signatures: [signatureOf(ALICE, new Uint8Array([1]))],
    have: 0,
  },
  'one key signing twice': {
    keys: [ALICE, BOB],
    need: 2,
    signatures: [signatureBy(ALICE), signatureBy(ALICE)],
    have: 1,
  },
  'one key under two key ids': {
    keys: [ALICE, ALICE_TWICE],
    need: 2,
    signatures: [signatureBy(ALICE), signatureBy(ALICE_TWICE)],
    have: 1,
  },
  'a key of a scheme nobody knows': { keys: [STRANGE], need: 1, signatures: [signatureBy(STRANGE)], have: 0 },
  'a key under the scheme of another': { keys: [CROSSED], need: 1, signatures: [signatureBy(CROSSED)], have: 0 },
  'fewer keys than the threshold': { keys: [ALICE], need: 2, signatures: [signatureBy(ALICE)], have: 1 },
}

for (const [name, { keys, need, signatures, have }] of Object.entries(CASES)) {
  await t.test(`${have >= need ? 'accepts' : 'refuses'} ${name}`, async (t) => {
    const authority = authorityFor(keys, need)
    const signed = signedBy(signatures)
    t.equal(signersOf(authority, signed, nativeSuite).size, have)
    if (have >= need) t.equal(verifyThreshold(authority, signed, nativeSuite), signed.body)
    else {
      const refused = { code: 'THRESHOLD', detail: { role: 'targets', need, have } }
      t.throws(() => verifyThreshold(authority, signed, nativeSuite), refused)
    }
  })
}

await t.test('a key that the delegator has but the role does not name counts for nothing', async (t) => {
  const { name, role } = authorityFor([ALICE], 1)
  const authority = { name, role, keys: keysOf([ALICE, BOB]) }
  t.throws(() => verifyThreshold(authority, signedBy([signatureBy(BOB)]), nativeSuite), { code: 'THRESHOLD' })
})

await t.test('a key that the role names but the delegator does not have counts for nothing', async (t) => {
  const authority = { ...authorityFor([ALICE], 1), keys: new Map() }
  t.throws(() => verifyThreshold(authority, signedBy([signatureBy(ALICE)]), nativeSuite), { code: 'THRESHOLD' })
})

await t.test('tells who signed, by the id they signed under', async (t) => {
  const signed = signedBy([signatureBy(BOB), signatureBy(ALICE_TWICE), signatureBy(ALICE), spoilt(CAROL)])
  const signers = signersOf(authorityFor([ALICE, ALICE_TWICE, BOB, CAROL], 1), signed, nativeSuite)
  t.strictSame([...signers.values()], [BOB.id, ALICE_TWICE.id])
})

await t.test('the order of signatures makes no difference', async () => {
  const signatures = [signatureBy(ALICE), spoilt(BOB), empty(CAROL), signatureBy(DAVE), signatureBy(MALLORY)]
  const authority = authorityFor([ALICE, BOB, CAROL, DAVE], 2)
  fc.assert(
    fc.property(fc.shuffledSubarray(signatures, { minLength: signatures.length }), (shuffled) => {
      return signersOf(authority, signedBy(shuffled), nativeSuite).size === 2
    }),
    { numRuns: 20 },
  )
})

await t.test('any changed byte of the payload is refused', async () => {
  const authority = authorityFor([ALICE], 1)
  const signature = signatureBy(ALICE)
  fc.assert(
    fc.property(fc.nat(PAYLOAD.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const payload = PAYLOAD.with(at, (PAYLOAD[at] ?? 0) ^ difference)
      return signersOf(authority, { ...signedBy([signature]), payload }, nativeSuite).size === 0
    }),
  )
})

await t.test('any changed byte of a file that names its own signer is refused or changes nothing signed', async () => {
  const file = tufCodec.assemble(BODY, [signatureBy(ALICE)])
  const authority = authorityFor([ALICE], 1)
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const bytes = file.with(at, (file[at] ?? 0) ^ difference)
      try {
        const signed = tufCodec.decode('targets', bytes, { suite: nativeSuite, limits: DEFAULT_LIMITS })
        const verified = verifyThreshold(authority, signed, nativeSuite)
        return Buffer.compare(tufCodec.encode(verified), PAYLOAD) === 0
      } catch (error) {
        return error instanceof Error && error.name === 'TrustError'
      }
    }),
    { numRuns: 500 },
  )
})

await t.test('a changed copy of what was verified is not verified', async (t) => {
  const forge = ({ ...copy }: Verified<Targets>): Verified<Targets> => {
    // @ts-expect-error spreading loses the mark, so the compiler refuses the copy
    return copy
  }
  const verified = verifyThreshold(authorityFor([ALICE], 1), signedBy([signatureBy(ALICE)]), nativeSuite)
  t.not(forge(verified), verified)
})

function keysOf(keys: readonly SigningKey[]): ReadonlyMap<KeyId, PublicKey> {
  return new Map(keys.map((key) => [key.id, key.public]))
}

function authorityFor(keys: readonly SigningKey[], need: number): Authority {
  const keyids = keySet(keys).keys.map(({ id }) => id)
  return { name: TARGETS, role: { keyids, threshold: threshold(need), unknown: new Map() }, keys: keysOf(keys) }
}

function signedBy(signatures: readonly Signature[]): Signed<Targets> {
  return { body: BODY, payload: PAYLOAD, signatures, unknown: new Map() }
}
