import { chmodSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openKeystore } from '../../../keys/keystore/file.ts'
import { openNamedKey } from '../../../keys/keystore/named-key.ts'
import { openssl, passphrase, privateFolder } from '../../support/secrets.ts'

const genpkey = ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256']
const plain = openssl(genpkey)
const locked = openssl([...genpkey, '-aes256', '-pass', 'pass:correct horse'])

type Case = { readonly content: string; readonly mode: number; readonly link?: true; readonly refused?: string }
const CASES: Record<string, Case> = {
  'what openssl writes': { content: plain, mode: 0o600 },
  'what openssl writes under a passphrase': { content: locked, mode: 0o400 },
  'a secret that an orchestrator mounts, for the group of the service': { content: plain, mode: 0o440, link: true },
  'what everybody may read': { content: plain, mode: 0o644, refused: 'KEY_PERMISSIONS' },
  'what a group may change': { content: plain, mode: 0o660, refused: 'KEY_PERMISSIONS' },
  'two keys': { content: plain + plain, mode: 0o600, refused: 'KEY_MALFORMED' },
  'no key': { content: 'no key\n', mode: 0o600, refused: 'KEY_MALFORMED' },
  'far too much': { content: 'x'.repeat(40_000), mode: 0o600, refused: 'KEYSTORE_IO' },
}
for (const [name, { content, mode, link, refused }] of Object.entries(CASES)) {
  await t.test(`${refused ? 'refuses' : 'opens'} ${name}`, async (t) => {
    const dir = privateFolder(t)
    writeFileSync(join(dir, 'kept'), content)
    chmodSync(join(dir, 'kept'), mode)
    if (link) symlinkSync(join(dir, 'kept'), join(dir, 'key.pem'))
    const opening = openNamedKey(join(dir, link ? 'key.pem' : 'kept'), passphrase('correct horse'))
    if (refused) return void (await t.rejects(opening, { name: 'KeyError', code: refused }))
    const key = await opening
    t.equal(key.algorithm, 'ecdsa-p256')
    key.close()
  })
}

await t.test('opens a file of the keystore, and refuses one that is not there', async (t) => {
  const dir = privateFolder(t)
  const { id } = await openKeystore({ dir, passphrase: passphrase('x') }).generate({
    algorithm: 'ecdsa-p256',
    encrypted: false,
  })
  const key = await openNamedKey(join(dir, `${id}.pem`), passphrase('x'))
  t.equal(key.algorithm, 'ecdsa-p256')
  key.close()
  await t.rejects(openNamedKey(join(dir, 'none.pem'), passphrase('x')), { code: 'KEY_NOT_FOUND' })
})
