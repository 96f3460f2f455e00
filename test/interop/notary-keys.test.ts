/** Keys go over to the real `notary` and docker and come back, and sign on either side. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openKeystore } from '../../keys/keystore/file.ts'
import { openPassphrases } from '../../keys/keystore/passphrase-source.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { toTufFields } from '../../keys/tuf-key.ts'
import { tufCodec } from '../../tuf/index.ts'
import { documentOf } from '../support/cli.ts'
import { tagsealHere } from '../support/in-process.ts'
import { NOTARY_PASSPHRASES, notaryUser, whyNoNotary } from '../support/notary.ts'
import { startNotaryServer, whyNoNotaryServer } from '../support/notary-server.ts'
import { runProgram } from '../support/program.ts'
import { privateFolder } from '../support/secrets.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'

const skip = (await whyNoNotary()) ?? (await whyNoNotaryServer()) ?? (await whyNoOpenssl()) ?? false
const REPOSITORY = 'example.com/team/app'

type Listed = { readonly id: string; readonly notary: { readonly id: string } }

/** Somebody who uses our program; every passphrase is the one that `notary` has for that role. */
function ownerIn(dir: string) {
  const env = { TAGSEAL_HOME: join(dir, 'ours'), HOME: dir }
  const passphraseFile = (name: string, text: string) => {
    writeFileSync(join(dir, name), text, { mode: 0o600 })
    return join(dir, name)
  }
  return {
    async run(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
      const ran = await tagsealHere(args, { env: { ...env, ...more } })
      if (ran.code !== 0) throw new Error(`tagseal ${args.join(' ')}: ${ran.stderr}`)
      return ran
    },
    passphraseFile,
  }
}

async function openLab(t: Test) {
  const dir = privateFolder(t)
  const certificate = await makeCertificate(join(dir, 'tls'))
  const server = await startNotaryServer(certificate)
  t.teardown(server.stop)
  writeFileSync(join(dir, 'artefact'), 'what is signed')
  return { dir, notary: notaryUser(join(dir, 'notary'), { url: server.url, ca: certificate.ca }), owner: ownerIn(dir) }
}

await t.test('a root key of ours founds a repository of notary, and signs with it', { skip }, async (t) => {
  const { dir, notary, owner } = await openLab(t)
  const root = owner.passphraseFile('root', NOTARY_PASSPHRASES.NOTARY_ROOT_PASSPHRASE)
  await owner.run(['key', 'generate', '--algorithm', 'ecdsa-p256', '--name', 'root', '--passphrase-file', root])
  const pem = join(dir, 'root.pem')
  const exported = await owner.run(['--json', 'export', 'notary-keys', '--out', pem, '--passphrase-file', root])
  t.equal(statSync(pem).mode & 0o777, 0o600)
  const [{ id } = { id: '' }] = (documentOf(exported) as { keys: { id: string }[] }).keys
  t.match(readFileSync(pem, 'utf8'), `path: ${id}\nrole: root\n`)

  await notary.run('init', '--rootkey', pem, '-p', REPOSITORY)
  await notary.run('add', '-p', REPOSITORY, 'v1', join(dir, 'artefact'))
  t.match((await notary.run('list', REPOSITORY)).stdout, /^v1 /m)
  t.match((await notary.run('key', 'list')).stdout, new RegExp(`^root +${id} `, 'm'), 'it took our key')
})

await t.test('delegation keys of ours sign there, of every algorithm that notary delegates to', { skip }, async (t) => {
  const { dir, notary, owner } = await openLab(t)
  const delegation = owner.passphraseFile('delegation', NOTARY_PASSPHRASES.NOTARY_DELEGATION_PASSPHRASE)
  await notary.run('init', '-p', REPOSITORY)
  for (const algorithm of ['ecdsa-p256', 'ecdsa-p384', 'rsa-pss']) {
    const own = ['--passphrase-file', delegation]
    await owner.run(['key', 'generate', '--algorithm', algorithm, '--name', algorithm, ...own])
    const half = join(dir, `${algorithm}.pub`)
    writeFileSync(half, (await owner.run(['key', 'export', algorithm])).stdout)
    const role = `targets/${algorithm}`
    await notary.run('delegation', 'add', '-p', REPOSITORY, role, half, '--all-paths')
    const folder = `${join(notary.dir, 'private')}/`
    await owner.run(['export', 'notary-keys', '--key', algorithm, '--out', folder, ...own])
    await notary.run('add', '-p', '-r', role, REPOSITORY, algorithm, join(dir, 'artefact'))
    t.match((await notary.run('list', REPOSITORY)).stdout, new RegExp(`^${algorithm} .* ${role}$`, 'm'))
  }
})

await t.test('notary key import and key list know every key of ours, ed25519 among them', { skip }, async (t) => {
  const { dir, notary, owner } = await openLab(t)
  const own = ['--passphrase-file', owner.passphraseFile('all', 'one for all of them')]
  for (const algorithm of ['ed25519', 'ecdsa-p256', 'ecdsa-p384', 'rsa-pss']) {
    await owner.run(['key', 'generate', '--algorithm', algorithm, '--name', `targets ${REPOSITORY}`, ...own])
  }
  const file = join(dir, 'all.pem')
  await owner.run(['export', 'notary-keys', '--out', file, ...own])
  await notary.run('key', 'import', file)
  const listed = (await notary.run('key', 'list')).stdout
  const { keys } = documentOf(await owner.run(['--json', 'key', 'list'])) as { keys: Listed[] }
  t.equal(keys.length, 4)
  for (const { notary: named } of keys) t.match(listed, new RegExp(`^targets +${REPOSITORY} +${named.id} `, 'm'))
})

await t.test(
  'keys that notary made are taken in, and sign; nothing that is there is written over',
  { skip },
  async (t) => {
    const { dir, notary, owner } = await openLab(t)
    await notary.run('init', '-p', REPOSITORY)
    await notary.run('key', 'generate', 'ecdsa', '-r', 'user')
    const folder = join(notary.dir, 'private')
    const ran = await owner.run(['--json', 'key', 'import', folder], NOTARY_PASSPHRASES)
    const { keys } = documentOf(ran) as { keys: Listed[] }
    t.strictSame(keys.map(({ notary: { id } }) => `${id}.key`).toSorted(), readdirSync(folder).toSorted())
    await signsInKeystore(t, join(dir, 'ours', 'keys'), keys)

    const again = await tagsealHere(['export', 'notary-keys', '--out', folder], {
      env: { TAGSEAL_HOME: join(dir, 'ours'), HOME: dir, ...NOTARY_PASSPHRASES },
    })
    t.equal(again.code, 1)
    t.match(again.stderr, /\(FILE_EXISTS\)/)
  },
)

const docker = (await runProgram('docker', ['trust', 'key', 'generate', '--help'])).code === 0
const noDocker = docker ? false : 'SKIPPED: docker with "docker trust" is not installed (apt-get install docker.io)'
await t.test('a key of docker trust key generate is taken in, and signs', { skip: noDocker }, async (t) => {
  const dir = privateFolder(t)
  const secret = { DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE: 'dctrepo123' }
  const env = { ...process.env, ...secret, HOME: dir, DOCKER_CONFIG: join(dir, 'docker') }
  const made = await runProgram('docker', ['trust', 'key', 'generate', 'alice', '--dir', dir], { env })
  t.equal(made.code, 0, made.stderr)
  const folder = join(dir, 'docker', 'trust', 'private')
  const ran = await ownerIn(dir).run(
    ['--json', 'key', 'import', folder, join(dir, 'docker', 'trust', 'private')],
    secret,
  )
  const { keys } = documentOf(ran) as { keys: Listed[] }
  await signsInKeystore(t, join(dir, 'ours', 'keys'), keys, secret)
})

async function signsInKeystore(
  t: Test,
  dir: string,
  keys: readonly Listed[],
  env: Readonly<Record<string, string>> = NOTARY_PASSPHRASES,
): Promise<void> {
  t.ok(keys.length > 0)
  const keystore = openKeystore({ dir, passphrase: openPassphrases({ env, terminal: () => undefined }) })
  const payload = Buffer.from('a payload')
  for (const { notary } of keys) {
    const signer = await keystore.open(notary.id)
    const verifier = nativeSuite.open(tufCodec.key(toTufFields(signer.public), nativeSuite))
    t.equal(verifier?.verify(payload, await signer.sign(payload)), true)
    signer.close()
  }
}
