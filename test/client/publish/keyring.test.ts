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
import { keyFields } from '../../../keys/public-key.ts'
import { authorityOf, keyId, notaryCodec, ROOT, roleKeys, TARGETS, tufCodec } from '../../../tuf/index.ts'
import type { Authority } from '../../../tuf/index.ts'
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

await t.test('a part of the signatures', async (t) => {
  const passphrase = openPassphrases({ env: {}, terminal: () => undefined })
  const here = openKeystore({ dir: privateFolder(t), passphrase })
  const elsewhere = openKeystore({ dir: privateFolder(t), passphrase })
  const make = async (store: Keystore, name: string) =>
    await store.generate({ algorithm: 'ed25519', name, encrypted: false })
  const [a, b, c, stranger] = [
    await make(here, 'a'),
    await make(here, 'b'),
    await make(elsewhere, 'c'),
    await make(here, 'stranger'),
  ]
  const keys = [a, b, c].map((key) => tufCodec.key(keyFields(key.public, 'tuf-1.0'), nativeSuite))
  const authority = (threshold: number): Authority => ({
    name: TARGETS,
    role: roleKeys({ keys, threshold }),
    keys: new Map(keys.map((key) => [key.id, key])),
  })
  const PARTS: Record<
    string,
    { threshold: number; signed?: readonly string[]; named?: readonly string[]; by: readonly string[] }
  > = {
    'is by the keys here': { threshold: 3, by: [a.id, b.id] },
    'is no more than is missing': { threshold: 2, signed: [c.id], by: [a.id] },
    'is by nobody who has signed': { threshold: 3, signed: [a.id], by: [b.id] },
    'is nothing where nothing is missing': { threshold: 2, signed: [b.id, c.id], by: [] },
    'is by the key that was named': { threshold: 3, named: [b.id], by: [b.id] },
  }
  for (const [name, { threshold, signed = [], named = [], by }] of Object.entries(PARTS)) {
    await t.test(name, async (t) => {
      const keyring = await openKeyring({ keystore: here, named, unattended: true })
      t.teardown(keyring.close)
      const asked = authority(threshold)
      t.same([keyring.canHelp(asked), keyring.canSign(asked)], [true, threshold === 2 && named.length === 0])
      const signatures = await keyring.signPart(payload, asked, new Set(signed.map(keyId)))
      t.same(
        signatures.map(({ keyid }) => keyid),
        by,
      )
    })
  }
  await t.test('is not by a key that signs nothing here', async (t) => {
    const keyring = await openKeyring({ keystore: here, named: [stranger.id], unattended: true })
    t.teardown(keyring.close)
    t.equal(keyring.canHelp(authority(2)), false)
    await t.rejects(keyring.signPart(payload, authority(2), new Set()), { code: 'KEY_NOT_IN_ROLE' })
  })
})
