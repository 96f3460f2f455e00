/** Keys that came from Notary sign for its metadata, by whichever id somebody names them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openKeyring } from '../../../client/publish/keyring.ts'
import { openKeystore } from '../../../keys/keystore/file.ts'
import { openPassphrases } from '../../../keys/keystore/passphrase-source.ts'
import type { Keystore } from '../../../keys/keystore/keystore.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { authorityOf, notaryCodec, ROOT, TARGETS } from '../../../tuf/index.ts'
import { NOTARY_PASSPHRASES } from '../../support/notary.ts'
import { newestRoot, stateFiles } from '../../support/notary-move.ts'
import { NOTARY_VECTORS } from '../../support/notary-vectors.ts'
import { privateFolder } from '../../support/secrets.ts'

const ALPHA = newestRoot(stateFiles('01-alpha-delegation-x509'))
const [LISTED] = authorityOf(ALPHA, ROOT).role.keyids
const NAMES = notaryCodec.keyNames(ALPHA.keys.get(LISTED ?? authorityMissing()) ?? authorityMissing(), nativeSuite)

function authorityMissing(): never {
  throw new Error('the vector has one root key')
}

/** With the root and targets keys of the vectors, as `notary` left them. */
async function vectorKeystore(t: Test): Promise<Keystore> {
  const passphrase = openPassphrases({ env: NOTARY_PASSPHRASES, terminal: () => undefined })
  const keystore = openKeystore({ dir: privateFolder(t), passphrase })
  const folder = join(NOTARY_VECTORS, 'keys', 'trust-private')
  for (const name of readdirSync(folder)) {
    const pem = readFileSync(join(folder, name), 'latin1')
    if (/^role: (?:root|targets)$/m.test(pem)) await keystore.import({ pem, encrypted: false })
  }
  return keystore
}

const keystore = await vectorKeystore(t)
const root = authorityOf(ALPHA, ROOT)
const payload = Buffer.from('a payload')

const CASES: Record<string, { named: readonly string[]; refused?: string }> = {
  'whichever fit': { named: [] },
  'by the id of its certificate': { named: NAMES.slice(0, 1) },
  'by the id that notary lists': { named: NAMES.slice(-1) },
  'by an id that no metadata has': { named: ['0'.repeat(64)], refused: 'KEY_NOT_IN_ROLE' },
  'by the id of the targets key': { named: authorityOf(ALPHA, TARGETS).role.keyids, refused: 'KEY_NOT_IN_ROLE' },
}
t.not(NAMES[0], NAMES.at(-1), 'a key in a certificate has two')
for (const [name, { named, refused }] of Object.entries(CASES)) {
  await t.test(`${refused ? 'refuses' : 'signs a root'} ${name}`, async (t) => {
    const keyring = await openKeyring({ keystore, named, unattended: true })
    t.teardown(keyring.close)
    t.equal(keyring.canSign(root), refused === undefined)
    if (refused !== undefined) {
      await t.rejects(keyring.sign(payload, [root]), { code: refused })
      return
    }
    const [signature] = await keyring.sign(payload, [root])
    const key = root.keys.get(signature?.keyid ?? authorityMissing()) ?? authorityMissing()
    t.equal(nativeSuite.open(key)?.verify(payload, signature?.sig ?? new Uint8Array()), true)
  })
}

await t.test('a name that nobody has is told at once', async (t) => {
  await t.rejects(openKeyring({ keystore, named: ['nobody'], unattended: true }), { code: 'KEY_NOT_FOUND' })
})
