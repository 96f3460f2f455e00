import { pbkdf2Sync } from 'node:crypto'
import t from 'tap'
import { concat } from '../../../keys/bytes.ts'
import { der } from '../../../keys/der.ts'
import { decryptPkcs8, encryptPkcs8 } from '../../../keys/keystore/pbes2.ts'
import { unlock } from '../../../keys/keystore/unlock.ts'
import { openssl, passphrase } from '../../support/secrets.ts'
import { element } from '../../support/tuf-key.ts'

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const oid = (hex: string): Uint8Array => der.oid(Uint8Array.from(Buffer.from(hex, 'hex')))
const [PBES2, PBKDF2, SCRYPT] = [oid('2a864886f70d01050d'), oid('2a864886f70d01050c'), oid('2b06010401da47040b')]
const [AES256, SHA256, SHA224] = [oid('60864801650304012a'), oid('2a864886f70d0209'), oid('2a864886f70d0208')]
const [SALT, IV] = [der.octets(new Uint8Array(16)), der.octets(new Uint8Array(16))]

const small = (...values: number[]): Uint8Array => concat(...values.map((value) => der.small(value)))
const scrypt = (...costs: number[]): Uint8Array => der.sequence(SCRYPT, der.sequence(SALT, small(...costs)))
const pbkdf2 = (...parts: Uint8Array[]): Uint8Array => der.sequence(PBKDF2, der.sequence(SALT, ...parts))
const prf = (name: Uint8Array): Uint8Array => der.sequence(name, der.none())
const aes = (...parts: Uint8Array[]): Uint8Array => der.sequence(AES256, ...parts)
const info = (kdf: Uint8Array, cipher = aes(IV), scheme = PBES2): Uint8Array =>
  der.sequence(der.sequence(scheme, der.sequence(kdf, cipher)), der.octets(new Uint8Array(32)))

await t.test('what is encrypted opens again, and never looks the same', async (t) => {
  const secret = { bytes: bytes('horse'), origin: 'machine' } as const
  const [one, two] = await Promise.all([encryptPkcs8(bytes('a key'), secret), encryptPkcs8(bytes('a key'), secret)])
  t.not(Buffer.compare(one, two), 0)
  t.strictSame(await decryptPkcs8(one, bytes('horse')), bytes('a key'))
})

await t.test('a wrong passphrase never opens a key, also where the padding looks right', async (t) => {
  const pem = openssl(['genpkey', '-algorithm', 'ed25519'])
  const sealed = openssl(
    ['pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-iter', '1', '-outform', 'PEM', '-passout', 'pass:right'],
    pem,
  )
  const body = Uint8Array.from(Buffer.from(sealed.split('\n').slice(1, -2).join(''), 'base64'))
  let padded = 0
  for (let i = 0; padded < 2; i++) {
    const opened = await decryptPkcs8(body, bytes(`wrong ${i}`))
    if (opened === undefined) continue
    padded += 1
    await t.rejects(unlock(body, passphrase(`wrong ${i}`), 'a key'), { code: 'PASSPHRASE_WRONG' })
  }
  const secret = await unlock(body, passphrase('right'), 'a key')
  secret.close()
})

await t.test('a weak key is called weak, not a wrong passphrase', async (t) => {
  const sealed = openssl(['pkcs8', '-topk8', '-iter', '1', '-passout', 'pass:right'], openssl(['genrsa', '1024']))
  const body = Uint8Array.from(Buffer.from(sealed.split('\n').slice(1, -2).join(''), 'base64'))
  await t.rejects(unlock(body, passphrase('right'), 'a key'), { code: 'KEY_WEAK' })
})

const READ: Record<string, Uint8Array> = {
  'scrypt with a key length': info(scrypt(1024, 8, 1, 32)),
  'PBKDF2 without a hash': info(pbkdf2(small(1))),
  'PBKDF2 with a key length': info(pbkdf2(small(1, 32), prf(SHA256))),
}
for (const [name, sealed] of Object.entries(READ)) {
  await t.test(`reads ${name}`, async (t) => {
    t.type(await decryptPkcs8(sealed, bytes('x')).then(() => true), 'boolean')
  })
}

await t.test('without a hash, PBKDF2 means SHA-1', async (t) => {
  const { createCipheriv } = await import('node:crypto')
  const cipher = createCipheriv('aes-256-cbc', pbkdf2Sync('x', new Uint8Array(16), 1, 32, 'sha1'), new Uint8Array(16))
  const text = concat(cipher.update(bytes('plain')), cipher.final())
  const sealed = der.sequence(der.sequence(PBES2, der.sequence(pbkdf2(small(1)), aes(IV))), der.octets(text))
  t.strictSame(await decryptPkcs8(sealed, bytes('x')), bytes('plain'))
})

const REFUSED: Record<string, Uint8Array> = {
  'nothing at all': new Uint8Array(),
  'another scheme than PBES2': info(scrypt(1024, 8, 1), aes(IV), SHA256),
  'another key derivation': info(der.sequence(SHA256, der.sequence())),
  'another cipher': info(scrypt(1024, 8, 1), der.sequence(SHA256, IV)),
  'an initialisation vector of 8 bytes': info(scrypt(1024, 8, 1), aes(der.octets(new Uint8Array(8)))),
  'a parameter after the vector': info(scrypt(1024, 8, 1), aes(IV, der.none())),
  'a scrypt cost of one': info(scrypt(1, 8, 1)),
  'a scrypt cost that is no power of two': info(scrypt(1000, 8, 1)),
  'scrypt in a gigabyte': info(scrypt(1 << 20, 8, 1)),
  'scrypt for an hour': info(scrypt(1024, 8, 1 << 20)),
  'scrypt with numbers that overflow': info(scrypt(1 << 30, 1 << 30, 1 << 30)),
  'scrypt without all its costs': info(scrypt(1024, 8)),
  'scrypt with too many': info(scrypt(1024, 8, 1, 32, 1)),
  'PBKDF2 for an hour': info(pbkdf2(small(2_000_000_000), prf(SHA256))),
  'PBKDF2 with a hash we do not use': info(pbkdf2(small(1), prf(SHA224))),
  'PBKDF2 with no rounds': info(der.sequence(PBKDF2, der.sequence(SALT, element(2, Uint8Array.of(0))))),
  'bytes after its end': concat(info(scrypt(1024, 8, 1)), Uint8Array.of(0)),
}
for (const [name, sealed] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name} at once`, async (t) => {
    await t.rejects(decryptPkcs8(sealed, bytes('x')), { name: 'KeyError', code: 'KEY_MALFORMED' })
  })
}
