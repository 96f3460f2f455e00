/** Keys that the real `notary` and `docker` wrote, each opened under its passphrase, to the id its file is named by. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import t from 'tap'
import { readForeignKeys } from '../../../keys/keystore/foreign.ts'
import { openPassphrases } from '../../../keys/keystore/passphrase-source.ts'
import { publicMaterial } from '../../../keys/schemes/table.ts'
import { notaryKeyId } from '../../../keys/notary/key-id.ts'
import { readLabelledPem } from '../../../keys/pem.ts'
import { publicOfPem } from '../../support/notary.ts'

const KEYS = new URL('../../vectors/notary-v1/keys/', import.meta.url)
/** As the README beside them says. */
const ENVIRONMENT = {
  NOTARY_ROOT_PASSPHRASE: 'rootpass123',
  NOTARY_TARGETS_PASSPHRASE: 'targetspass123',
  NOTARY_SNAPSHOT_PASSPHRASE: 'snapshotpass123',
  NOTARY_DELEGATION_PASSPHRASE: 'delegpass123',
  DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE: 'dctroot123',
  DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE: 'dctrepo123',
}

const read = (name: string) => readFileSync(new URL(name, KEYS), 'latin1')
const passphrases = () => openPassphrases({ env: ENVIRONMENT, terminal: () => undefined })

async function idsIn(text: string): Promise<string[]> {
  const source = passphrases()
  const ids: string[] = []
  for (const key of readForeignKeys(text)) {
    const secret = await key.open(source)
    ids.push(notaryKeyId(secret.public))
    secret.close()
  }
  source.close()
  return ids
}

for (const folder of ['trust-private', 'trust-private-rsa', 'docker-trust-private']) {
  const files = readdirSync(new URL(folder, KEYS)).filter((name) => name.endsWith('.key'))
  t.ok(files.length > 5)
  for (const name of files) {
    await t.test(`${folder}: opens ${name.slice(0, 12)} to its canonical id`, async (t) => {
      t.strictSame(await idsIn(read(`${folder}/${name}`)), [basename(name, '.key')])
    })
  }
}

await t.test('notary key export: every key of the file, in its order', async (t) => {
  const text = read('notary-key-export-all.pem')
  const paths = [...text.matchAll(/^path: (.*)$/gm)].map(([, path]) => path)
  t.equal(paths.length, 14)
  t.strictSame(await idsIn(text), paths)
})

/** The public half stands in another file, or is OpenSSL's to say. */
const SINGLE: Record<string, string> = {
  'carol.key': 'carol.pub',
  'deleg.key': 'deleg.pub',
  'p384.key': 'p384.pub',
  'rsadeleg.key': 'rsadeleg.pub',
  'rsaroot.pem': 'rsaroot.pem',
  'rsaroot-enc-legacy.pem': 'rsaroot.pem',
  'zroot.key': 'zroot.key',
  'zroot-enc-sha1.pem': 'zroot.key',
  'zroot-enc-default.pem': 'zroot.key',
  'rootca.key': 'rootca.key',
}
for (const [name, half] of Object.entries(SINGLE)) {
  await t.test(`opens ${name}`, async (t) => {
    t.strictSame(await idsIn(read(name)), [notaryKeyId(publicMaterial(publicOfPem(read(half))))])
  })
}

await t.test('reads the public keys of docker trust key generate, whose header says whose they are', async (t) => {
  for (const name of ['alice', 'bob']) {
    const { der, headers } = readLabelledPem(read(`${name}.pub`), 'PUBLIC KEY')
    t.strictSame([...headers], [['role', name]])
    t.ok(readdirSync(new URL('docker-trust-private', KEYS)).includes(`${notaryKeyId(publicMaterial(der))}.key`))
  }
})

await t.test('says what stands beside a key without its passphrase', async (t) => {
  const [key] = readForeignKeys(
    read('docker-trust-private/8c76fc5701d27654a9267acd2eb3841a84a96915d1b018a3c63d89daa9c2c461.key'),
  )
  t.match(key, {
    role: 'targets',
    gun: '127.0.0.1:5000/team/app',
    encrypted: true,
    label: 'the targets key of 127.0.0.1:5000/team/app',
  })
})
