import t from 'tap'
import { nativeSuite } from '../../keys/native/suite.ts'
import { generateKey } from '../../keys/native/generate.ts'
import { writePem } from '../../keys/pem.ts'
import { portableSuite } from '../../keys/portable/suite.ts'
import { keyFields, readPublicKey, signAs } from '../../keys/public-key.ts'
import { toNotaryCertificate } from '../../keys/schemes/notary.ts'
import { ALGORITHMS } from '../../keys/schemes/table.ts'
import { DEFAULT_LIMITS, notaryCodec } from '../../tuf/index.ts'
import type { PublicKey } from '../../tuf/index.ts'
import { NOTARY_STATES, filesOf, readFrom } from '../support/notary-vectors.ts'
import { listed } from '../support/tuf-key.ts'

const SUITES = { native: nativeSuite, portable: portableSuite }
const PAYLOAD = new TextEncoder().encode('{"_type":"Root"}')

for (const algorithm of ALGORITHMS) {
  for (const [name, suite] of Object.entries(SUITES)) {
    await t.test(`the ${name} suite checks what a new ${algorithm} key signs as Notary does`, async (t) => {
      const secret = await generateKey(algorithm)
      const key = notaryCodec.key(keyFields(secret.public, 'notary-v1'), nativeSuite)
      const { keyid, sig, scheme } = await signAs(key, secret, PAYLOAD)
      t.strictSame([keyid, scheme], [key.id, key.scheme])
      t.equal(
        sig.length,
        { ed25519: 64, 'ecdsa-p256': 64, 'ecdsa-p384': 96, 'ecdsa-p521': 132, 'rsa-pss': 384 }[algorithm],
      )
      const verifier = suite.open(key)
      t.equal(verifier?.verify(PAYLOAD, sig), true)
      t.equal(verifier?.verify(PAYLOAD.subarray(1), sig), false, 'another payload')
      t.equal(verifier?.verify(PAYLOAD, sig.subarray(1)), false, 'cut short')
      t.equal(verifier?.verify(PAYLOAD, new Uint8Array(sig.length)), false, 'zeros')
      const tuf = listed(keyFields(secret.public, 'tuf-1.0'))
      t.equal(suite.open(tuf)?.identity, verifier?.identity, 'one key, whichever dialect lists it')
      const other = await signAs(tuf, secret, PAYLOAD)
      t.equal(suite.open(tuf)?.verify(PAYLOAD, other.sig), true)
      const same = algorithm === 'ed25519' || algorithm === 'rsa-pss'
      t.equal(verifier?.verify(PAYLOAD, other.sig), same, 'the signature as TUF 1.0 writes it')
      secret.close()
    })
  }
}

await t.test('a salt of another length is no signature of Notary', async (t) => {
  const { constants, createPrivateKey, sign } = await import('node:crypto')
  const secret = await generateKey('rsa-pss')
  const key = notaryCodec.key(keyFields(secret.public, 'notary-v1'), nativeSuite)
  const signature = secret.lend((pkcs8) =>
    sign('sha256', PAYLOAD, {
      key: createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }),
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 20,
    }),
  )
  for (const suite of Object.values(SUITES)) t.equal(suite.open(key)?.verify(PAYLOAD, signature), false)
  secret.close()
})

await t.test('a certificate and the bare key are one signer', async (t) => {
  const certificates = keysOf((key) => key.keytype.endsWith('-x509'))
  t.ok(certificates.length >= 12, `${certificates.length} certificates`)
  t.strictSame(new Set(certificates.map(({ keytype }) => keytype)), new Set(['ecdsa-x509', 'rsa-x509']))
  for (const key of certificates) {
    const bare = notaryCodec.key(keyFields(readPublicKey(key), 'notary-v1'), nativeSuite)
    t.not(bare.id, key.id)
    for (const suite of Object.values(SUITES)) t.equal(suite.open(bare)?.identity, suite.open(key)?.identity)
    t.equal(toNotaryCertificate(Buffer.from(key.public, 'base64')).public, key.public)
  }
})

await t.test('every key of the states is opened by both suites', async (t) => {
  for (const key of keysOf(() => true)) {
    for (const [name, suite] of Object.entries(SUITES)) t.ok(suite.open(key), `${name}: ${key.keytype} ${key.id}`)
  }
})

await t.test('no suite opens', async (t) => {
  const [certificate] = keysOf((key) => key.keytype === 'ecdsa-x509')
  const pem = Buffer.from(certificate?.public ?? '', 'base64').toString()
  const base64 = (text: string | Uint8Array) => Buffer.from(text).toString('base64')
  const p256 = await generateKey('ecdsa-p256')
  const ed25519 = await generateKey('ed25519')
  const spki = base64(p256.public.spki)
  const of = (keytype: string, text: string): PublicKey =>
    notaryCodec.key({ ...keyFields(p256.public, 'notary-v1'), keytype, public: text }, nativeSuite)
  const REFUSED: Record<string, PublicKey> = {
    'a curve under the type of RSA': { ...of('rsa', spki), scheme: 'notary-v1-rsapss' },
    'a type under the method of another': { ...of('ecdsa', spki), scheme: 'notary-v1-eddsa' },
    'a type that nobody knows': of('dsa', spki),
    'a key that is not base64': of('ecdsa', `${spki} `),
    'a key with bytes behind it': of('ecdsa', base64(Buffer.concat([p256.public.spki, Buffer.from([0])]))),
    'a point of another length': {
      ...of('ed25519', base64(ed25519.public.spki)),
      scheme: 'notary-v1-eddsa',
    },
    'a certificate that is cut short': of('ecdsa-x509', base64(pem.slice(0, -40))),
    'a certificate with text around it': of('ecdsa-x509', base64(`alice\n${pem}`)),
    'a certificate without its last line feed': of('ecdsa-x509', base64(pem.trimEnd())),
    'a certificate in DER': of('ecdsa-x509', base64(Buffer.from(pem.split('\n').slice(1, -2).join(''), 'base64'))),
    'no certificate at all': of('ecdsa-x509', ''),
    'a bare key in the place of a certificate': of('ecdsa-x509', base64(writePem('PUBLIC KEY', p256.public.spki))),
  }
  for (const [name, key] of Object.entries(REFUSED)) {
    for (const suite of Object.values(SUITES)) t.equal(suite.open(key), undefined, name)
  }
  t.throws(() => readPublicKey(of('dsa', spki)), { code: 'KEY_MALFORMED' })
})

/** The keys that the roots and targets of all states list. */
function keysOf(wanted: (key: PublicKey) => boolean): PublicKey[] {
  const context = { suite: nativeSuite, limits: DEFAULT_LIMITS }
  const keys = new Map<string, PublicKey>()
  for (const state of Object.keys(NOTARY_STATES)) {
    for (const { name, type } of filesOf(state)) {
      if (type !== 'root' && type !== 'targets') continue
      const { body } = notaryCodec.decode(type, readFrom(state)(name), context)
      const listedKeys = body.type === 'root' ? body.keys : body.delegations?.keys
      for (const key of listedKeys?.values() ?? []) if (wanted(key)) keys.set(key.id, key)
    }
  }
  return [...keys.values()]
}
