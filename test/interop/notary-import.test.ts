/** Repositories that the real `notary` made at the real server move to ours, and `notary` goes on with them. */
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { documentOf, tagseal } from '../support/cli.ts'
import type { Ran } from '../support/cli.ts'
import { NOTARY_PASSPHRASES, notaryUser, whyNoNotary } from '../support/notary.ts'
import type { NotaryUser } from '../support/notary.ts'
import { startNotaryServer, whyNoNotaryServer } from '../support/notary-server.ts'
import { privateFolder } from '../support/secrets.ts'
import { startServer } from '../support/server.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'

const skip = (await whyNoNotary()) ?? (await whyNoNotaryServer()) ?? (await whyNoOpenssl()) ?? false
const REPOSITORY = 'example.com/team/app'

/** An old server with a user of it, ours, and whoever moves. */
async function openLab(t: Test) {
  const dir = privateFolder(t)
  const certificate = await makeCertificate(join(dir, 'tls'))
  const old = await startNotaryServer(certificate)
  t.teardown(old.stop)
  const tls = ['--open', '--tls-cert', certificate.cert, '--tls-key', certificate.key]
  const ours = await startServer({ data: join(dir, 'data'), args: tls })
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
    import: (...args: readonly string[]) =>
      tagseal(['--json', 'import', 'notary', ...from, REPOSITORY, ...args], { env }),
  }
}

/** The same user, whose caches and keys stay, with another server. */
function movedTo(dir: string, user: NotaryUser, at: { url: string; ca: string }): NotaryUser {
  cpSync(user.dir, dir, { recursive: true })
  return notaryUser(dir, at)
}

type Document = {
  keys: { imported: number; failed: unknown[] }
  repositories: { moved?: boolean; followed?: string[]; roots?: number; roles?: string[]; error?: { code: string } }[]
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
    await publisher.run('key', 'rotate', REPOSITORY, 'snapshot', '-r')
    await publisher.run('add', '-p', REPOSITORY, 'v2', artefact)
    const late = lab.user('late', lab.old.url)
    await late.run('list', REPOSITORY)

    const ran = await lab.import('--private', join(publisher.dir, 'private'), '--tofu')
    t.equal(ran.code, 0, ran.stderr)
    t.match(documented(ran).repositories, [{ moved: true, roots: 2, roles: ['targets'] }])
    const at = { url: lab.ours.url, ca: join(lab.dir, 'tls', 'server.crt') }
    for (const user of [early, late, publisher]) {
      const there = movedTo(`${user.dir}-moved`, user, at)
      const { stdout } = await there.run('list', REPOSITORY)
      t.match(stdout, /^v1 [^]*^v2 /m, 'with the cache from before')
    }
    const moved = notaryUser(join(lab.dir, 'notary-moved'), at)
    await moved.run('add', '-p', REPOSITORY, 'v3', artefact)
    t.match((await lab.user('fresh', lab.ours.url).run('list', REPOSITORY)).stdout, /^v3 /m)
  },
)
