/** Repositories that the real `notary` made at the real server move to ours, and `notary` goes on with them. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { documentOf } from '../support/cli.ts'
import type { Ran } from '../support/cli.ts'
import { serverHere, tagsealHere } from '../support/in-process.ts'
import { NOTARY_PASSPHRASES, notaryUser, whyNoNotary } from '../support/notary.ts'
import type { NotaryUser } from '../support/notary.ts'
import { startNotaryServer, whyNoNotaryServer } from '../support/notary-server.ts'
import { privateFolder } from '../support/secrets.ts'
import { notaryUser as tokenUser, openTokenTown } from '../support/token-town.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'

const skip = (await whyNoNotary()) ?? (await whyNoNotaryServer()) ?? (await whyNoOpenssl()) ?? false
const REPOSITORY = 'example.com/team/app'

/** An old server with a user of it, ours, and whoever moves. */
async function openLab(t: Test) {
  const dir = privateFolder(t)
  const certificate = await makeCertificate(join(dir, 'tls'))
  const old = await startNotaryServer(certificate)
  t.teardown(old.stop)
  const ours = await serverHere({ data: join(dir, 'data'), tlsCert: certificate.cert, tlsKey: certificate.key })
  t.teardown(ours.stop)
  writeFileSync(join(dir, 'artefact'), 'what is signed')
  const at = (url: string) => ({ url, ca: certificate.ca })
  const env = {
    TAGSEAL_HOME: join(dir, 'ours'),
    HOME: dir,
    TAGSEAL_SERVER: ours.url,
    TAGSEAL_CA: certificate.ca,
    ...NOTARY_PASSPHRASES,
  }
  const from = ['--from', old.url, '--from-ca', certificate.ca]
  return {
    dir,
    old,
    ours,
    artefact: join(dir, 'artefact'),
    publisher: notaryUser(join(dir, 'notary'), at(old.url)),
    user: (name: string, url: string) => notaryUser(join(dir, name), at(url)),
    /** The same user, whose caches and keys stay, at our server. */
    moved(user: NotaryUser) {
      cpSync(user.dir, `${user.dir}-moved`, { recursive: true })
      return notaryUser(`${user.dir}-moved`, at(ours.url))
    },
    tagseal: (...args: readonly string[]) => tagsealHere(args, { env }),
    import: (...args: readonly string[]) =>
      tagsealHere(['--json', 'import', 'notary', ...from, REPOSITORY, ...args], { env }),
  }
}

type Document = {
  keys: { imported: number; failed: unknown[] }
  repositories: {
    moved?: boolean
    followed?: string[]
    roots?: number
    roles?: string[]
    unsigned?: string[]
    error?: { code: string }
  }[]
}
const documented = (ran: Ran) => documentOf(ran) as Document

await t.test(
  'a repository moves with its roots and roles, and notary goes on at the new server',
  { skip },
  async (t) => {
    const lab = await openLab(t)
    const { publisher, artefact } = lab
    await publisher.run('init', '-p', REPOSITORY)
    await publisher.run('add', '-p', REPOSITORY, 'v1', artefact)
    const early = lab.user('early', lab.old.url)
    await early.run('list', REPOSITORY)
    await publisher.run('key', 'rotate', REPOSITORY, 'root')
    await publisher.run('key', 'rotate', REPOSITORY, 'snapshot', '-r')
    await publisher.run('add', '-p', REPOSITORY, 'v2', artefact)
    const late = lab.user('late', lab.old.url)
    await late.run('list', REPOSITORY)

    const ran = await lab.import('--private', join(publisher.dir, 'private'), '--tofu')
    t.equal(ran.code, 0, ran.stderr)
    t.match(documented(ran).repositories, [{ moved: true, roots: 3, roles: ['targets'] }])
    for (const user of [early, late]) {
      t.match((await lab.moved(user).run('list', REPOSITORY)).stdout, /^v1 [^]*^v2 /m, 'with the cache from before')
    }
    await lab.moved(publisher).run('add', '-p', REPOSITORY, 'v3', artefact)
    t.match((await lab.user('fresh', lab.ours.url).run('list', REPOSITORY)).stdout, /^v3 /m)
  },
)

/** Delegations of every kind, nested ones, and a snapshot that the publisher signs. */
async function delegate(lab: Awaited<ReturnType<typeof openLab>>): Promise<void> {
  const { publisher, artefact, dir } = lab
  await publisher.run('init', '-p', REPOSITORY)
  for (const [name, algorithm] of [
    ['releases', 'ecdsa-p256'],
    ['releases/nightly', 'ecdsa-p384'],
    ['qa', 'rsa-pss'],
  ] as const) {
    const own = ['--passphrase-file', join(dir, 'passphrase')]
    writeFileSync(join(dir, 'passphrase'), NOTARY_PASSPHRASES.NOTARY_DELEGATION_PASSPHRASE, { mode: 0o600 })
    await lab.tagseal('key', 'generate', '--algorithm', algorithm, '--name', algorithm, ...own)
    writeFileSync(join(dir, 'half.pem'), (await lab.tagseal('key', 'export', algorithm)).stdout)
    await lab.tagseal('export', 'notary-keys', '--key', algorithm, '--out', `${publisher.dir}/private/`, ...own)
    await publisher.run('delegation', 'add', '-p', REPOSITORY, `targets/${name}`, join(dir, 'half.pem'), '--all-paths')
    await publisher.run('add', '-p', '-r', `targets/${name}`, REPOSITORY, `of-${algorithm}`, artefact)
  }
  await publisher.run('delegation', 'add', '-p', REPOSITORY, 'targets/silent', join(dir, 'half.pem'), '--all-paths')
}

await t.test('delegated roles move, of every algorithm, nested, and one that never signed', { skip }, async (t) => {
  const lab = await openLab(t)
  await delegate(lab)
  const ran = await lab.import('--private', join(lab.publisher.dir, 'private'), '--tofu')
  t.equal(ran.code, 0, ran.stderr)
  const [{ roles, unsigned } = {}] = documented(ran).repositories
  t.strictSame(roles?.toSorted(), ['targets', 'targets/qa', 'targets/releases', 'targets/releases/nightly'])
  t.strictSame(unsigned, ['targets/silent'])
  const { stdout } = await lab.user('fresh', lab.ours.url).run('list', REPOSITORY)
  for (const algorithm of ['ecdsa-p256', 'ecdsa-p384', 'rsa-pss']) t.match(stdout, `of-${algorithm} `)
  const moved = lab.moved(lab.publisher)
  await moved.run('add', '-p', '-r', 'targets/releases', REPOSITORY, 'later', lab.artefact)
  t.match((await lab.user('fresh', lab.ours.url).run('list', REPOSITORY)).stdout, /^later .* targets\/releases$/m)
  const listed = await lab.tagseal('list', REPOSITORY)
  t.equal(listed.code, 0, listed.stderr)
  t.match(listed.stdout, /later/, 'and our own program reads it under the pin that was kept')
})

await t.test('without a pin, or with a wrong one, nothing moves', { skip }, async (t) => {
  const lab = await openLab(t)
  const { publisher } = lab
  await publisher.run('init', '-p', REPOSITORY)
  const id = /^root +([0-9a-f]{64})/m.exec((await publisher.run('key', 'list')).stdout)?.[1] ?? ''
  const another = `${id.startsWith('0') ? '1' : '0'}${id.slice(1)}`
  const root = join(publisher.dir, 'tuf', REPOSITORY, 'metadata', 'root.json')
  writeFileSync(join(lab.dir, 'other.json'), readFileSync(root, 'utf8').replace('"version":1', '"version":2'))
  const REFUSED: Record<string, { args: string[]; code: string; exit: number }> = {
    'no pin': { args: [], code: 'PIN_NEEDED', exit: 2 },
    'the id of another key': { args: ['--pin', another], code: 'PIN_NOT_FOUND', exit: 1 },
    'another file': { args: ['--pin', join(lab.dir, 'other.json')], code: 'PIN_NOT_FOUND', exit: 1 },
    'the right key without its private half': { args: ['--pin', id], code: 'ROOT_KEY_NEEDED', exit: 1 },
  }
  for (const [name, { args, code, exit }] of Object.entries(REFUSED)) {
    const ran = await lab.import(...args)
    t.equal(documented(ran).repositories[0]?.error?.code, code, name)
    t.equal(ran.code, exit, name)
    t.match(ran.stderr, id, `${name}: the id to look for is named`)
  }
  const stranger = await lab.tagseal('import', 'notary', '--from', lab.old.url, '--pin', id, REPOSITORY)
  t.match(
    stranger.stderr,
    /\(CERTIFICATE_REFUSED\)\nhint: .* --from-ca FILE/,
    'an old server with an authority of its own',
  )
  await t.rejects(lab.user('fresh', lab.ours.url).run('list', REPOSITORY), 'nothing is here')
  const keys = ['--private', join(publisher.dir, 'private')]
  t.equal((await lab.import(...keys, '--pin', id)).code, 0, 'under the key that notary lists')
  t.equal((await lab.import('--pin', root)).code, 0, 'and again, under the root file')
})

await t.test(
  'run again, it brings what was published over there since, and nothing that was published at both',
  { skip },
  async (t) => {
    const lab = await openLab(t)
    const { publisher, artefact } = lab
    await publisher.run('init', '-p', REPOSITORY)
    await publisher.run('add', '-p', REPOSITORY, 'v1', artefact)
    t.match(documented(await lab.import('--private', join(publisher.dir, 'private'), '--tofu')).repositories, [
      { moved: true },
    ])
    t.match(documented(await lab.import()).repositories, [{ moved: false, followed: [] }], 'nothing new')
    await publisher.run('add', '-p', REPOSITORY, 'v2', artefact)
    t.match(documented(await lab.import()).repositories, [{ moved: false, followed: ['targets'] }])
    t.match((await lab.user('fresh', lab.ours.url).run('list', REPOSITORY)).stdout, /^v2 /m)

    await lab.moved(publisher).run('add', '-p', REPOSITORY, 'here', artefact)
    await publisher.run('add', '-p', REPOSITORY, 'there', artefact)
    await publisher.run('add', '-p', REPOSITORY, 'there-too', artefact)
    const ran = await lab.import()
    t.match(documented(ran).repositories, [{ error: { code: 'DIVERGED' } }])
    t.match(
      (await lab.user('fresh', lab.ours.url).run('list', REPOSITORY)).stdout,
      /^here /m,
      'what was signed here stays',
    )
  },
)

await t.test(
  'a repository that was founded here is not replaced, and one that is not there is named',
  { skip },
  async (t) => {
    const lab = await openLab(t)
    await lab.user('other', lab.ours.url).run('init', '-p', REPOSITORY)
    const none = await lab.import('--tofu')
    t.match(documented(none).repositories, [{ error: { code: 'NO_TRUST_DATA' } }])
    await lab.publisher.run('init', '-p', REPOSITORY)
    const ran = await lab.import('--private', join(lab.publisher.dir, 'private'), '--tofu')
    t.match(documented(ran).repositories, [{ error: { code: 'OTHER_HERE' } }])
    t.equal(ran.code, 1)
  },
)

await t.test('an old server that asks for a login gets that of notary, or of docker', { skip }, async (t) => {
  const dir = privateFolder(t)
  const town = await openTokenTown(dir)
  t.teardown(town.close)
  const old = await startNotaryServer(town.tls, town.auth('peers'))
  t.teardown(old.stop)
  const [secret, other] = [await town.token('owner', 'example.com/team/*', 'pull,push'), `tst_${'A'.repeat(43)}`]
  const login = Buffer.from(`owner:${secret}`).toString('base64')
  const user = await tokenUser(join(dir, 'notary'), old.url, town.tls, secret)
  t.equal((await user('init', '-p', REPOSITORY)).code, 0)
  const docker = join(dir, 'docker')
  mkdirSync(docker)
  writeFileSync(join(docker, 'config.json'), JSON.stringify({ auths: { 'example.com': { auth: login } } }))

  const bring = (home: string, env: Record<string, string>) => {
    const from = ['--from', old.url, '--from-ca', town.tls.ca, '--private', join(dir, 'notary', 'trust', 'private')]
    const args = ['--json', 'import', 'notary', ...from, REPOSITORY, '--tofu']
    const ours = { TAGSEAL_SERVER: town.server.url, TAGSEAL_CA: town.tls.ca, TAGSEAL_TOKEN: secret }
    return tagsealHere(args, {
      env: { HOME: dir, TAGSEAL_HOME: join(dir, home), ...ours, ...NOTARY_PASSPHRASES, ...env },
    })
  }
  const wrong = await bring('a', { NOTARY_AUTH: Buffer.from(`owner:${other}`).toString('base64') })
  t.match(documented(wrong).repositories, [{ error: { code: 'UNAUTHORIZED' } }])
  t.equal(wrong.code, 3)
  t.notMatch(wrong.stdout + wrong.stderr, other)
  const nobody = await bring('b', {})
  t.match(documented(nobody).repositories, [{ error: { code: 'UNAUTHORIZED' } }], 'without a login')
  const moved = await bring('c', { NOTARY_AUTH: login })
  t.match(documented(moved).repositories, [{ moved: true }], moved.stderr)
  const again = await bring('d', { DOCKER_CONFIG: docker })
  t.match(documented(again).repositories, [{ moved: false }], again.stderr)
})
