import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { rootKeysOf } from '../../../client/publish/root-keys.ts'
import { openKeystore } from '../../../keys/keystore/file.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import type { Algorithm } from '../../../keys/signer.ts'
import { notaryCodec, tufCodec } from '../../../tuf/index.ts'
import type { Codec, PublicKey } from '../../../tuf/index.ts'

const NOW = Date.UTC(2026, 10, 25, 13)

function keystoreOf(t: Test) {
  const none = async () => undefined
  const passphrase = { unlock: none, choose: () => Promise.reject(new Error('not asked')), close: () => undefined }
  return openKeystore({ dir: join(t.testdir(), 'keys'), passphrase })
}

async function listed(t: Test, codec: Codec, algorithm: Algorithm) {
  const keystore = keystoreOf(t)
  const key = await keystore.generate({ algorithm, encrypted: false })
  const list = async (before: readonly PublicKey[], clock = () => NOW) => {
    const wish = { repository: 'example.com/alpha', keystore, codec, suite: nativeSuite, clock, before, given: [] }
    const [first] = await rootKeysOf([key], wish)
    if (first === undefined) throw new Error('no key')
    return first
  }
  return { list, first: await list([]) }
}

await t.test('a Notary root', async (t) => {
  const { first, list } = await listed(t, notaryCodec, 'ecdsa-p256')
  await t.test('lists its key in a certificate for the repository, good for ten years', async (t) => {
    t.equal(first.keytype, 'ecdsa-x509')
    const certificate = new X509Certificate(Buffer.from(first.public, 'base64'))
    t.equal(certificate.subject, 'CN=example.com/alpha')
    t.same(certificate.validFromDate, new Date(NOW))
    t.same(certificate.validToDate, new Date(Date.UTC(2036, 10, 22, 13)))
  })
  await t.test('keeps the certificate of a key that stays', async (t) => t.equal(await list([first]), first))
  await t.test('gives another certificate to a key whose own one is about to end', async (t) => {
    const renewed = await list([first], () => Date.UTC(2035, 0, 1))
    t.not(renewed.id, first.id)
    t.equal(nativeSuite.open(renewed)?.identity, nativeSuite.open(first)?.identity)
  })
})

await t.test('a TUF root lists its key as it is', async (t) => {
  t.equal((await listed(t, tufCodec, 'ed25519')).first.keytype, 'ed25519')
})

await t.test('a key that can have no certificate is no root key of Notary', async (t) => {
  await t.rejects(listed(t, notaryCodec, 'ed25519'), { name: 'KeyError', code: 'KEY_MALFORMED' })
})
