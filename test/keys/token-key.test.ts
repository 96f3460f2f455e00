import { X509Certificate, verify } from 'node:crypto'
import t from 'tap'
import { Kek } from '../../keys/kek.ts'
import { libtrustId } from '../../keys/libtrust.ts'
import { randomBytes } from '../../keys/random.ts'
import { makeTokenKey, openTokenKey, readTokenKey } from '../../keys/token-key.ts'

const NOW = Date.parse('2026-11-24T12:00:00Z')
const newKek = () => new Kek(randomBytes(32), 'the test')

await t.test('what it signs, its certificate verifies', async (t) => {
  const kek = newKek()
  const kept = await makeTokenKey(kek, NOW)
  const { certificate, spki, kid } = readTokenKey(kept)
  const key = await openTokenKey(kek, kept)
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, Buffer.from('text'))
  const its = { key: new X509Certificate(certificate).publicKey, dsaEncoding: 'ieee-p1363' } as const
  t.ok(verify('sha256', Buffer.from('text'), its, Buffer.from(signature)))
  t.equal(kid, libtrustId(spki))
  t.equal(key.extractable, false)
})

await t.test('it opens for its own key-encryption key and with its own certificate alone', async (t) => {
  const kek = newKek()
  const [kept, other] = [await makeTokenKey(kek, NOW), await makeTokenKey(kek, NOW)]
  await t.rejects(openTokenKey(newKek(), kept), { code: 'SEALED_OTHER_KEK' })
  const { certificate } = readTokenKey(other)
  const head = Buffer.from([certificate.length >> 8, certificate.length & 255])
  const sealed = kept.subarray(2 + readTokenKey(kept).certificate.length)
  await t.rejects(openTokenKey(kek, Buffer.concat([head, certificate, sealed])), { code: 'SEALED_BROKEN' })
  await t.rejects(openTokenKey(kek, new Uint8Array()), { code: 'SEALED_BROKEN' })
})
