import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openKeystore } from '../../../keys/keystore/file.ts'
import { generateKey } from '../../../keys/native/generate.ts'
import { Secret } from '../../../keys/native/secret.ts'
import { ALGORITHMS } from '../../../keys/schemes/table.ts'
import { everythingShown, openssl, passphrase, privateFolder, refuseLeak } from '../../support/secrets.ts'

/** The private numbers of a key, each alone: a leak need not be a whole file. */
function privateParts(pkcs8: Uint8Array): Uint8Array[] {
  const jwk = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }).export({ format: 'jwk' })
  return [
    pkcs8,
    ...[jwk.d, jwk.p, jwk.q].flatMap((part) => (part === undefined ? [] : [Buffer.from(part, 'base64url')])),
  ]
}

for (const algorithm of ALGORITHMS) {
  await t.test(`an ${algorithm} key shows its private half in no way`, async (t) => {
    const secret = await generateKey(algorithm)
    const parts = secret.lend(privateParts)
    const shown = everythingShown(secret) + everythingShown(Object.entries(secret)) + everythingShown([secret])
    for (const part of parts) refuseLeak(t, shown, part, 'the key')
    t.match(shown, `Secret(${algorithm})`)
    secret.close()
  })

  await t.test(`a closed ${algorithm} key signs nothing and holds only zeros`, async (t) => {
    const { privateKey } = { privateKey: (await generateKey(algorithm)).lend((pkcs8) => pkcs8.slice()) }
    const secret = new Secret(privateKey)
    await secret.sign(new Uint8Array(3))
    secret.close()
    secret.close()
    t.ok(privateKey.every((byte) => byte === 0))
    await t.rejects(secret.sign(new Uint8Array(3)), { name: 'KeyError', code: 'KEY_CLOSED' })
    t.throws(() => secret.lend(() => 1), { name: 'KeyError', code: 'KEY_CLOSED' })
  })
}

await t.test('bytes that are no key are refused, wiped and not quoted', async (t) => {
  const bytes = new Uint8Array(Buffer.from('some secret that is no key'))
  const copy = bytes.slice()
  try {
    t.notOk(new Secret(bytes))
  } catch (error) {
    t.match(error, { name: 'KeyError', code: 'KEY_MALFORMED' })
    refuseLeak(t, everythingShown(error), copy, 'the error')
  }
  t.ok(bytes.every((byte) => byte === 0))
})

await t.test('neither passphrase nor key shows in any error of the keystore', async (t) => {
  const dir = privateFolder(t)
  const right = Buffer.from('correct horse battery')
  const keystore = openKeystore({ dir, passphrase: passphrase(right.toString()) })
  const info = await keystore.generate({ algorithm: 'ed25519', encrypted: true })
  const plain = await keystore.exportPrivate(info.id, 'none')
  const parts = privateParts(Buffer.from(plain.split('\n').slice(1, -2).join(''), 'base64'))
  const wrong = Buffer.from('incorrect horse battery')
  const failing = openKeystore({ dir, passphrase: passphrase(wrong.toString()) })
  const encrypted = openssl(['pkcs8', '-topk8', '-passout', 'pass:other'], plain)
  const half = plain.replace(/\n-----END.*/, '\n')
  const failures = [
    () => failing.open(info.id),
    () => failing.find(join('x', wrong.toString().slice(0, 3))),
    () => failing.import({ pem: encrypted, encrypted: true }),
    () => keystore.import({ pem: plain, encrypted: true }),
    () => keystore.import({ pem: half, encrypted: true }),
    () => keystore.import({ pem: plain.replace('PRIVATE KEY', 'STRANGE PRIVATE KEY'), encrypted: true }),
    () => keystore.import({ pem: plain.replaceAll('PRIVATE KEY', 'EC PRIVATE KEY'), encrypted: true }),
    () => keystore.import({ pem: plain + plain, encrypted: true }),
  ]
  for (const fail of failures) {
    const error: unknown = await fail().then(
      () => t.fail('it did not fail'),
      (reason: unknown) => reason,
    )
    t.match(error, { name: 'KeyError' })
    for (const secret of [right, wrong, ...parts]) refuseLeak(t, everythingShown(error), secret, String(error))
  }
  for (const secret of [right, ...parts]) {
    refuseLeak(t, everythingShown(keystore) + everythingShown(info), secret, 'the keystore')
    refuseLeak(t, readFileSync(join(dir, `${info.id}.pem`), 'latin1'), secret, 'the encrypted file')
  }
})
