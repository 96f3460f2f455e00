import { readFileSync } from 'node:fs'
import t from 'tap'
import { concat, toBase64, toHex } from '../../keys/bytes.ts'
import { tufKeyId } from '../../keys/keystore/key-file.ts'
import { generateKey } from '../../keys/native/generate.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { writePem } from '../../keys/pem.ts'
import { portableSuite } from '../../keys/portable/suite.ts'
import { ALGORITHMS } from '../../keys/schemes/table.ts'
import { fromTufFields, type TufKeyFields, toTufFields } from '../../keys/tuf-key.ts'
import { tufCodec } from '../../tuf/codec/tuf.ts'
import { ecSpki, listed, OID, spki, TUF_NAMES } from '../support/tuf-key.ts'

type MadeKey = {
  readonly key: { readonly keytype: string; readonly scheme: string; readonly keyval: { readonly public: string } }
  readonly keyid: string
  readonly message: string
  readonly sig: string
}
const made = JSON.parse(readFileSync(new URL('../vectors/tuf-made/keys.json', import.meta.url), 'utf8')) as Record<
  string,
  MadeKey
>
const fieldsOf = ({ key }: MadeKey): TufKeyFields => ({ ...key, public: key.keyval.public })

for (const [name, vector] of Object.entries(made)) {
  await t.test(`reads and writes the ${name} key of another implementation`, async (t) => {
    const fields = fieldsOf(vector)
    const material = fromTufFields(fields)
    t.equal(tufKeyId(material), vector.keyid)
    t.equal(toTufFields(material).public, fields.public)
    const signature = new Uint8Array(Buffer.from(vector.sig, 'hex'))
    for (const suite of [nativeSuite, portableSuite]) {
      t.equal(suite.open(listed(fields))?.verify(new TextEncoder().encode(vector.message), signature), true)
    }
  })
}

for (const algorithm of ALGORITHMS) {
  await t.test(`a new ${algorithm} key comes back from what we write, under the codec's key id`, async (t) => {
    const { public: material } = await generateKey(algorithm)
    const fields = toTufFields(material)
    t.strictSame(fromTufFields(fields), material)
    t.match(fields, TUF_NAMES[algorithm])
    t.equal(tufKeyId(material), tufCodec.key(fields, nativeSuite).id)
  })
}

const ec = await generateKey('ecdsa-p256')
const ed = await generateKey('ed25519')
const EC = toTufFields(ec.public)
const ED = toTufFields(ed.public)
const RSA = fieldsOf(made['rsa'] as MadeKey)
const raw = toHex(ec.public.spki.subarray(-65))
const compressed = concat(Uint8Array.of(2 + ((ec.public.spki.at(-1) ?? 0) & 1)), ec.public.spki.subarray(-64, -32))
const base64 = toBase64(ec.public.spki)

const SAME: Record<string, TufKeyFields> = {
  'the older keytype': { ...EC, keytype: 'ecdsa-sha2-nistp256' },
  'CRLF line ends': { ...EC, public: EC.public.replaceAll('\n', '\r\n') },
  'no newline at its end': { ...EC, public: EC.public.trimEnd() },
  'other line breaks': { ...EC, public: `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----\n` },
  'a compressed point': { ...EC, public: writePem('PUBLIC KEY', ecSpki('p256', compressed)) },
  'a bare point in hex': { ...EC, keytype: 'ecdsa-sha2-nistp256', public: raw },
}
for (const [name, fields] of Object.entries(SAME)) {
  await t.test(`a key with ${name} has the same identity`, async (t) => {
    for (const suite of [nativeSuite, portableSuite]) {
      t.equal(suite.open(listed(fields))?.identity, suite.open(listed(EC))?.identity)
    }
  })
}

const pem = EC.public
const REFUSED: Record<string, TufKeyFields> = {
  'an unknown scheme': { ...ED, scheme: 'ed448' },
  'a scheme in other letters': { ...ED, scheme: 'Ed25519' },
  'a scheme named like a member of every object': { ...ED, scheme: 'constructor' },
  'an unknown keytype': { ...ED, keytype: 'ed25519ph' },
  'the keytype of another algorithm': { ...ED, keytype: 'ecdsa' },
  'the keytype of another curve': { ...EC, keytype: 'ecdsa-sha2-nistp384' },
  'an EC key under ed25519': { ...ED, public: pem },
  'an Ed25519 PEM under ed25519': { ...ED, public: writePem('PUBLIC KEY', ed.public.spki) },
  'an Ed25519 PEM under ecdsa': { ...EC, public: writePem('PUBLIC KEY', ed.public.spki) },
  'an RSA key under ecdsa': { ...EC, public: RSA.public },
  'an EC key under rsa': { ...RSA, public: pem },
  'a P-256 key under nistp384': { ...EC, scheme: 'ecdsa-sha2-nistp384' },
  'Ed25519 with parameters': {
    ...EC,
    public: writePem('PUBLIC KEY', spki(OID.ed25519, Uint8Array.of(5, 0), ed.public.spki.subarray(12))),
  },
  'upper-case hex': { ...ED, public: ED.public.toUpperCase().replace(/^../, 'AB') },
  'half a byte of hex': { ...ED, public: ED.public.slice(1) },
  'a blank after the hex': { ...ED, public: `${ED.public} ` },
  'no key at all': { ...ED, public: '' },
  'no PEM at all': { ...EC, public: '' },
  'text before the PEM': { ...EC, public: `a key\n${pem}` },
  'text after the PEM': { ...EC, public: `${pem}a key\n` },
  'two PEM blocks': { ...EC, public: pem + pem },
  'a private key': { ...EC, public: pem.replaceAll('PUBLIC', 'PRIVATE') },
  'a certificate': { ...EC, public: pem.replaceAll('PUBLIC KEY', 'CERTIFICATE') },
  'a PEM that does not end': { ...EC, public: pem.slice(0, 60) },
  'a PEM with another end': { ...EC, public: pem.replace('END PUBLIC', 'END PRIVATE') },
  'a PEM with headers': { ...EC, public: pem.replace('\n', '\nrole: root\n\n') },
  'a PEM with a blank in its base64': { ...EC, public: pem.replace('\nM', '\n M') },
  'a PEM without padding': { ...RSA, public: RSA.public.replace('=', '') },
  'a PEM with stray bits in its last character': { ...RSA, public: RSA.public.replace('E=\n', 'F=\n') },
  'a PEM without content': { ...EC, public: '-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n' },
  'a PEM of a megabyte': { ...EC, public: `${pem}${'\n'.repeat(1 << 20)}` },
}
for (const [name, fields] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    t.throws(() => fromTufFields(fields), { name: 'KeyError', code: 'KEY_MALFORMED' })
    for (const suite of [nativeSuite, portableSuite]) t.equal(suite.open(listed(fields)), undefined)
  })
}
