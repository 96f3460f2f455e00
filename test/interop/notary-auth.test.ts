/**
 * Access tokens between us and the originals: `notary` gets one here before it speaks to us, and a real notary-server
 * and a real docker-registry take ours for their own.
 */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { buildImage } from '../support/images.ts'
import { whyNoNotary } from '../support/notary.ts'
import { startNotaryServer, whyNoNotaryServer } from '../support/notary-server.ts'
import { runProgram } from '../support/program.ts'
import type { Ran } from '../support/program.ts'
import { pushImage, skopeoCopy, startRegistry, whyNoRegistry, whyNoSkopeo } from '../support/registry.ts'
import { startServer } from '../support/server.ts'
import { notaryUser, openTokenTown } from '../support/token-town.ts'
import type { TokenTown } from '../support/token-town.ts'

const GUN = 'registry.example.com:5000/team/app'
const OTHER = 'registry.example.com:5000/other/app'
const TEAM = 'registry.example.com:5000/team/*'
const noNotary = (await whyNoNotary()) ?? (await whyNoNotaryServer()) ?? false
const noRegistry = (await whyNoRegistry()) ?? (await whyNoSkopeo()) ?? false

await t.test('notary gets an access token here before it asks for anything else', { skip: noNotary }, async (t) => {
  const dir = t.testdir()
  const town = await openTokenTown(dir)
  t.teardown(town.close)
  const { url } = town.server
  const user = async (name: string, secret?: string) => await notaryUser(join(dir, name), url, town.tls, secret)
  const tuf = `/v2/${GUN}/_trust/tuf`

  await (await user('nobody'))('list', GUN)
  t.same(
    await town.asked(),
    ['GET /v2/ 401', 'GET /token 200', `GET ${tuf}/root.json 404`],
    'to read, without a password',
  )

  const owner = await user('owner', await town.token('owner', TEAM, 'pull,push'))
  await owner('init', '-p', GUN)
  const asked = await town.asked()
  t.same(asked.slice(0, 3), ['GET /v2/ 401', 'GET /token 200', `GET ${tuf}/timestamp.key 200`], 'to publish')
  t.equal(asked.at(-1), `POST ${tuf}/ 200`, 'and is let in')

  await (await user('elsewhere', await town.token('elsewhere', OTHER, 'pull,push')))('init', '-p', GUN)
  t.same(
    (await town.asked()).slice(0, 3),
    ['GET /v2/ 401', 'GET /token 200', `GET ${tuf}/timestamp.key 401`],
    'of somebody else',
  )

  const wrong = await (await user('wrong', `tst_${'A'.repeat(43)}`))('init', '-p', GUN)
  t.match(wrong.stderr + wrong.stdout, /not known/, 'the reason is told')
  t.same(await town.asked(), ['GET /v2/ 401', 'GET /token 401'], 'with a wrong password')
})

await t.test('others log in here as in a registry', { skip: noRegistry }, async (t) => {
  const dir = t.testdir({ authorities: {} })
  const town = await openTokenTown(dir)
  t.teardown(town.close)
  await copyFile(town.tls.ca, join(dir, 'authorities', 'ca.crt'))
  const secret = await town.token('ci', TEAM, 'pull,push')
  const login = async (password: string) => {
    const place = ['--cert-dir', join(dir, 'authorities'), '--authfile', join(dir, 'auth.json')]
    const { host } = new URL(town.server.url)
    const ran = await runProgram('skopeo', ['login', '-u', 'anybody', '-p', password, ...place, host])
    return ran.code
  }
  t.equal(await login(secret), 0)
  t.same(await town.asked(), ['GET /v2/ 401', 'GET /token 200', 'GET /v2/ 200'])
  t.not(await login(`${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`), 0)
})

/** Where the tokens count: the address, and for which of its owner's acts an administrator is needed. */
type Place = {
  readonly open: (town: TokenTown) => Promise<{ readonly url: string; readonly stop: () => Promise<void> }>
  readonly ownerRotates: 0 | 1
}
const PLACES: Record<string, Place> = {
  'the original notary-server': {
    open: async (town) => await startNotaryServer(town.tls, town.auth('peers')),
    ownerRotates: 1,
  },
  'another server of ours': {
    open: async ({ tls, auth }) => {
      const { realm, service, issuer, rootcertbundle } = auth('peers')
      const env = {
        TAGSEAL_SERVER_TOKEN_REALM: realm,
        TAGSEAL_SERVER_TOKEN_SERVICE: service,
        TAGSEAL_SERVER_TOKEN_ISSUER: issuer,
        TAGSEAL_SERVER_TOKEN_CERTIFICATES: rootcertbundle,
      }
      const server = await startServer({ args: ['--private', '--tls-cert', tls.cert, '--tls-key', tls.key], env })
      const stop = async () => {
        await server.stop()
        await server.remove()
      }
      return { url: server.url, stop }
    },
    ownerRotates: 0,
  },
  'our own server, private': { open: async ({ server: { url } }) => ({ url, stop: async () => {} }), ownerRotates: 0 },
}
for (const [where, { open, ownerRotates }] of Object.entries(PLACES)) {
  await t.test(`notary with our access tokens on ${where}`, { skip: noNotary }, async (t) => {
    const dir = t.testdir()
    const town = await openTokenTown(dir, '--private')
    t.teardown(town.close)
    const { url, stop } = await open(town)
    t.teardown(stop)
    const user = async (name: string, repository: string, allow: string) =>
      await notaryUser(join(dir, name), url, town.tls, await town.token(name, repository, allow))
    const [owner, boss] = [await user('owner', TEAM, 'pull,push'), await user('boss', TEAM, 'admin')]
    const [reader, other] = [await user('reader', TEAM, 'pull'), await user('other', OTHER, 'pull,push')]
    const nobody = await notaryUser(join(dir, 'nobody'), url, town.tls)
    const target = join(dir, 'tokens.pem')
    const [B, C] = ['registry.example.com:5000/team/b', 'registry.example.com:5000/team/c']

    const STEPS: readonly [string, () => Promise<Ran>, 0 | 1][] = [
      ['its owner creates the repository', () => owner('init', '-p', GUN), 0],
      ['and signs a tag', () => owner('add', '-p', GUN, '1.0', target), 0],
      ['and reads', () => owner('lookup', GUN, '1.0'), 0],
      ['a reader reads', () => reader('lookup', GUN, '1.0'), 0],
      ['and verifies', () => reader('verify', GUN, '1.0', '-i', target, '-q'), 0],
      ['and creates nothing', () => reader('init', '-p', B), 1],
      ['somebody else does not read', () => other('lookup', GUN, '1.0'), 1],
      ['nor does anybody', () => nobody('lookup', GUN, '1.0'), 1],
      ['its owner rotates a key', () => owner('key', 'rotate', GUN, 'snapshot', '-r'), ownerRotates],
      ['and deletes nothing', () => owner('delete', '--remote', GUN), 1],
      ['an administrator creates', () => boss('init', '-p', C), 0],
      ['and rotates', () => boss('key', 'rotate', C, 'snapshot', '-r'), 0],
      ['and rotates the timestamp', () => boss('key', 'rotate', C, 'timestamp', '-r'), 0],
      ['and deletes', () => boss('delete', '--remote', C), 0],
      ['which is gone', () => boss('lookup', C, '1.0'), 1],
    ]
    for (const [name, step, code] of STEPS) {
      await t.test(name, async (t) => {
        const ran = await step()
        t.equal(ran.code, code, ran.stdout + ran.stderr)
      })
    }
    t.equal((await owner('add', '-p', GUN, '2.0', target)).code, 0, 'its owner publishes')
    await town.revoke('owner')
    t.equal((await owner('add', '-p', GUN, '3.0', target)).code, 1, 'and once revoked, no more')
    t.notMatch((await reader('list', GUN)).stdout, /^3\.0/m)
  })
}

await t.test('a registry takes our access tokens', { skip: noRegistry }, async (t) => {
  const dir = t.testdir()
  const town = await openTokenTown(dir)
  t.teardown(town.close)
  const { rootcertbundle: bundle, ...auth } = town.auth('registry')
  const [open, closed] = [await startRegistry(), await startRegistry({ token: { ...auth, bundle } })]
  t.teardown(open.stop)
  t.teardown(closed.stop)
  await pushImage(open, 'team/app', '1.0', buildImage())
  const from = `docker://${open.host}/team/app:1.0`
  const to = `docker://${closed.host}/team/app:1.0`
  const login = async (name: string, repository: string, allow: string) =>
    `anybody:${await town.token(name, repository, allow)}`
  const [writer, reader, other] = [
    await login('writer', 'registry.example.com/team/*', 'pull,push'),
    await login('reader', 'registry.example.com/team/*', 'pull'),
    await login('other', 'registry.example.com/other/*', 'pull,push'),
  ]
  const copy = join(dir, 'copy')
  await t.rejects(skopeoCopy(from, to, '--dest-creds', reader), 'a reader pushes nothing')
  await t.rejects(skopeoCopy(from, to, '--dest-creds', other), 'nor does a writer of something else')
  await t.resolves(skopeoCopy(from, to, '--dest-creds', writer), 'its writer pushes')
  await t.resolves(skopeoCopy(to, `dir:${copy}`, '--src-creds', reader), 'a reader pulls')
  await t.rejects(skopeoCopy(to, `dir:${copy}`, '--src-creds', other), 'a writer of something else does not')
  await t.rejects(skopeoCopy(to, `dir:${copy}`), 'nor does anybody')
})
