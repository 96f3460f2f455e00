/** What looks like a key of Notary and is none, or one that lies. */
import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { concat } from '../../../keys/bytes.ts'
import { der } from '../../../keys/der.ts'
import { readForeignKey, readForeignKeys } from '../../../keys/keystore/foreign.ts'
import { openKeystore } from '../../../keys/keystore/file.ts'
import type { PassphraseSource } from '../../../keys/keystore/passphrase.ts'
import { notaryKeyId } from '../../../keys/notary/key-id.ts'
import { readPemBlocks, writePem } from '../../../keys/pem.ts'
import { openssl, passphrase, privateFolder } from '../../support/secrets.ts'

const OID = Uint8Array.of(0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01)

/** The 96 bytes of a new key: public, seed, public. */
function ed25519Bytes(): Uint8Array {
  const { x = '', d = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const [point, seed] = [Buffer.from(x, 'base64url'), Buffer.from(d, 'base64url')]
  return concat(point, seed, point)
}
const pkcs8 = (bytes: Uint8Array) => der.sequence(der.zero(), der.sequence(der.oid(OID)), der.octets(bytes))
const pem = (label: string, bytes: Uint8Array, headers: Record<string, string> = {}) =>
  writePem(label, bytes, new Map(Object.entries(headers)))
const rsa = () => openssl(['genrsa', '-traditional', '-aes256', '-passout', 'pass:theirs', '2048'])
const GOOD = ed25519Bytes()
const OTHER = ed25519Bytes()
const bent = GOOD.with(0, (GOOD[0] ?? 0) ^ 1)

function missing(): never {
  throw new Error('there was none before')
}

type Case = { readonly pem: () => string; readonly refused?: string }
const CASES: Record<string, Case> = {
  'an ed25519 key of Notary': { pem: () => pem('PRIVATE KEY', pkcs8(GOOD), { role: 'user' }) },
  'an ed25519 key of its first versions': { pem: () => pem('ED25519 PRIVATE KEY', GOOD, { role: 'root' }) },
  'headers with CRLF': { pem: () => pem('PRIVATE KEY', pkcs8(GOOD), { role: 'user' }).replaceAll('\n', '\r\n') },
  'one of 95 bytes': { pem: () => pem('PRIVATE KEY', pkcs8(GOOD.subarray(1))), refused: 'KEY_MALFORMED' },
  'one of 97 bytes': {
    pem: () => pem('ED25519 PRIVATE KEY', concat(GOOD, GOOD.subarray(0, 1))),
    refused: 'KEY_MALFORMED',
  },
  'one whose two public keys differ': { pem: () => pem('PRIVATE KEY', pkcs8(bent)), refused: 'KEY_MALFORMED' },
  "one with another's public key": {
    pem: () => pem('PRIVATE KEY', pkcs8(concat(OTHER.subarray(0, 32), GOOD.subarray(32, 64), OTHER.subarray(64)))),
    refused: 'KEY_MALFORMED',
  },
  'one with bytes after it': {
    pem: () => pem('PRIVATE KEY', concat(pkcs8(GOOD), der.none())),
    refused: 'KEY_MALFORMED',
  },
  'a key with a header twice': {
    pem: () => pem('PRIVATE KEY', pkcs8(GOOD), { role: 'user' }).replace('role: user', 'role: user\nrole: root'),
    refused: 'KEY_MALFORMED',
  },
  'headers without a blank line after them': {
    pem: () => pem('PRIVATE KEY', pkcs8(GOOD), { role: 'user' }).replace('user\n\n', 'user\n'),
    refused: 'KEY_MALFORMED',
  },
  'a header that is longer than any': {
    pem: () => pem('PRIVATE KEY', pkcs8(GOOD), { gun: 'x'.repeat(1024) }),
    refused: 'KEY_MALFORMED',
  },
  'a header with a control character': {
    pem: () => pem('PRIVATE KEY', pkcs8(GOOD), { role: 'us\u001ber' }),
    refused: 'KEY_MALFORMED',
  },
  'seventeen headers': {
    pem: () =>
      pem('PRIVATE KEY', pkcs8(GOOD), Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`h${i}`, 'x']))),
    refused: 'KEY_MALFORMED',
  },
  'an old encryption that is opened': { pem: rsa },
  'an old encryption of another kind': {
    pem: () => rsa().replace('4,ENCRYPTED', '4,MIC-ONLY'),
    refused: 'KEY_MALFORMED',
  },
  'an old encryption that does not say how': {
    pem: () => rsa().replace(/DEK-Info: .*\n/, ''),
    refused: 'KEY_MALFORMED',
  },
  'an old encryption with single DES': {
    pem: () => rsa().replace(/AES-256-CBC,[0-9A-F]{32}/, 'DES-CBC,0123456789ABCDEF'),
    refused: 'KEY_MALFORMED',
  },
  'an old encryption with half an initialisation vector': {
    pem: () => rsa().replace(/CBC,([0-9A-F]{16})[0-9A-F]{16}/, 'CBC,$1'),
    refused: 'KEY_MALFORMED',
  },
  'an old encryption under another passphrase': {
    pem: () => openssl(['genrsa', '-traditional', '-aes256', '-passout', 'pass:other', '2048']),
    refused: 'PASSPHRASE_WRONG',
  },
  'an old encryption that was cut short': {
    pem: () => {
      const [block] = readPemBlocks(rsa(), 'a key')
      return block === undefined ? '' : writePem(block.label, block.der.slice(0, -1), block.headers)
    },
    refused: 'PASSPHRASE_WRONG',
  },
}

for (const [name, { pem: text, refused }] of Object.entries(CASES)) {
  await t.test(`${refused ? 'refuses' : 'reads'} ${name}`, async (t) => {
    const dir = privateFolder(t)
    const keystore = openKeystore({ dir, passphrase: passphrase('theirs') })
    const adding = keystore.import({ pem: text(), encrypted: false })
    if (refused) await t.rejects(adding, { name: 'KeyError', code: refused })
    else t.equal((await adding).encrypted, false)
    t.equal((await keystore.list()).length, refused ? 0 : 1)
  })
}

await t.test('a text that is longer than any machine has keys is refused before it is read', async (t) => {
  t.throws(() => readForeignKeys(' '.repeat(1024 * 1024 + 1)), { code: 'KEY_MALFORMED' })
  const tiny = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
  t.throws(() => readForeignKeys(tiny.repeat(1001)), { code: 'KEY_MALFORMED' })
  t.throws(() => readForeignKeys('-----BEGIN PRIVATE KEY-----\n'.repeat(30_000)), { code: 'KEY_MALFORMED' })
})

await t.test('keeps what Notary wrote beside a key, and finds the key by the id Notary has for it', async (t) => {
  const dir = privateFolder(t)
  const keystore = openKeystore({ dir, passphrase: passphrase('theirs') })
  const text = pem('PRIVATE KEY', pkcs8(GOOD), { role: 'targets', gun: 'example.com/team/app' })
  const { id, public: material } = await keystore.import({ pem: text, encrypted: true })
  const again = openKeystore({ dir, passphrase: passphrase('theirs') })
  const canonical = notaryKeyId(material)
  for (const wanted of [id, canonical, canonical.slice(0, 7)]) {
    t.match(await again.find(wanted), { id, notary: { role: 'targets', gun: 'example.com/team/app' } })
  }
  const signer = await again.open(canonical)
  t.equal((await signer.sign(new Uint8Array(1))).length, 64)
  signer.close()
})

await t.test('what Notary wrote is dropped where it would not fit into a line', async (t) => {
  const keystore = openKeystore({ dir: privateFolder(t), passphrase: passphrase('theirs') })
  const text = pem('PRIVATE KEY', pkcs8(GOOD), { role: 'two words', gun: 'example.com/team/app' })
  t.equal((await keystore.import({ pem: text, encrypted: false })).notary, undefined)
})

await t.test('a key stays under the passphrase that opened it where nobody names another', async (t) => {
  const dir = privateFolder(t)
  const sealed = openssl(['pkcs8', '-topk8', '-passout', 'pass:theirs'], openssl(['genpkey', '-algorithm', 'ed25519']))
  const asking: PassphraseSource = { ...passphrase('never'), choose: async (_key, before) => before ?? missing() }
  const keystore = openKeystore({ dir, passphrase: asking })
  const { id } = await keystore.import({
    pem: readForeignKey(sealed),
    passphrase: passphrase('theirs'),
    encrypted: true,
  })
  const signer = await openKeystore({ dir, passphrase: passphrase('theirs') }).open(id)
  signer.close()
})
