import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { generateKey } from '../../keys/native/generate.ts'
import { writePem } from '../../keys/pem.ts'
import { selfSigned } from '../../keys/self-signed.ts'
import type { CertificateFacts } from '../../keys/self-signed.ts'
import type { Algorithm } from '../../keys/signer.ts'
import { whyNoOpenssl } from '../support/tls.ts'

const run = promisify(execFile)
const FROM = Date.parse('2026-11-25T13:00:00Z')
const UNTIL = Date.parse('2036-11-22T13:00:00Z')
const FACTS = { name: '127.0.0.1:5000/team/äpp', from: FROM, until: UNTIL, purpose: 'notary root' } as const

async function made(algorithm: Algorithm, facts: CertificateFacts) {
  const secret = await generateKey(algorithm)
  try {
    return { der: await selfSigned(secret, facts), spki: Buffer.from(secret.public.spki) }
  } finally {
    secret.close()
  }
}

for (const algorithm of ['ecdsa-p256', 'ecdsa-p384', 'ecdsa-p521'] as const) {
  await t.test(`an ${algorithm} key makes a certificate for itself`, async (t) => {
    const { der, spki } = await made(algorithm, FACTS)
    const certificate = new X509Certificate(der)
    t.ok(certificate.verify(certificate.publicKey), 'it is signed by its own key')
    t.same(certificate.publicKey.export({ format: 'der', type: 'spki' }), spki)
    t.equal(certificate.subject, 'CN=127.0.0.1:5000/team/äpp')
    t.equal(certificate.issuer, certificate.subject)
    t.same([certificate.validFromDate.getTime(), certificate.validToDate.getTime()], [FROM, UNTIL])
    t.equal(certificate.ca, false)
    t.same(certificate.keyUsage, ['1.3.6.1.5.5.7.3.3'])
  })
}

await t.test(
  'openssl reads the root certificate as notary makes it',
  { skip: (await whyNoOpenssl()) ?? false },
  async (t) => {
    const { der } = await made('ecdsa-p256', FACTS)
    const file = join(t.testdir(), 'root.crt')
    await writeFile(file, writePem('CERTIFICATE', der))
    const { stdout } = await run('openssl', ['x509', '-in', file, '-noout', '-text'])
    for (const words of [
      'Version: 3 (0x2)',
      'Signature Algorithm: ecdsa-with-SHA256',
      /Key Usage: critical\s+Digital Signature, Key Encipherment\n/,
      /Extended Key Usage: \n\s+Code Signing\n/,
      /Basic Constraints: critical\s+CA:FALSE\n/,
    ]) {
      t.match(stdout, words)
    }
  },
)

await t.test('a certificate for signing alone says so', async (t) => {
  const { der } = await made('ecdsa-p256', { ...FACTS, purpose: 'signing' })
  t.equal(new X509Certificate(der).keyUsage, undefined, 'no extended usage')
})

await t.test('a date beyond 2049 is kept', async (t) => {
  const until = Date.parse('2051-02-03T04:05:06Z')
  const { der } = await made('ecdsa-p256', { ...FACTS, until })
  t.equal(new X509Certificate(der).validToDate.getTime(), until)
})

await t.test('no two certificates have the same serial number', async (t) => {
  const serials = await Promise.all([1, 2, 3].map(async () => (await made('ecdsa-p256', FACTS)).der))
  t.equal(new Set(serials.map((der) => new X509Certificate(der).serialNumber)).size, 3)
})

await t.test('refuses a key of another kind', async (t) => {
  await t.rejects(made('ed25519', FACTS), { name: 'KeyError', code: 'KEY_MALFORMED' })
})
