import { readdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { startGateway } from '../support/gateway.ts'
import type { TestGateway } from '../support/gateway.ts'
import { buildImage, json, entry, stored } from '../support/images.ts'
import type { Stored } from '../support/images.ts'
import {
  basic,
  pushImage,
  putBlob,
  putManifest,
  startRegistry,
  TEST_LOGIN,
  whyNoRegistry,
} from '../support/registry.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'
import { openTown, pinFrom } from '../support/town.ts'

const skip = (await whyNoRegistry()) ?? (await whyNoOpenssl()) ?? false

/** A signed image `1.0`, a moved tag, and the policy of whoever trusts its owner. */
async function openSigned(t: Test) {
  const town = await openTown()
  t.teardown(town.close)
  const owner = await town.person()
  const made = await owner.run(['init', town.repository, '--no-passphrase'])
  const key = pinFrom(made)[pinFrom(made).indexOf('--key') + 1] ?? ''
  const image = await town.push('1.0', buildImage())
  t.equal((await owner.run(['sign', `${town.repository}:1.0`])).code, 0)
  const policy = (more = '', host = town.registry.host) => `version: 1
defaultRegistry: ${host}
rules:
  - pattern: ${host}/**
    pin: { keys: [${key}] }
    server: ${town.server.url}
    maxAge: 1s
${more}`
  return { town, owner, image, policy, folder: t.testdir() }
}

const manifest = async ({ url }: TestGateway, reference: string, init: RequestInit = {}) =>
  await fetch(`${url}/v2/team/app/manifests/${reference}`, init)
const reasonOf = async (response: Response) => /"reason":"([A-Z_]+)"/.exec(await response.text())?.[1]

await t.test('a policy that changes counts at once, and no request is dropped for it', { skip }, async (t) => {
  const { policy, folder, image } = await openSigned(t)
  const gateway = await startGateway({ folder, policy: policy() })
  t.teardown(() => gateway.stop())
  const statuses = new Set<number>()
  let going = true
  const asking = Array.from({ length: 4 }, async () => {
    while (going) statuses.add((await manifest(gateway, '1.0')).status)
  })
  await writeFile(gateway.policy, policy('    signedOnce: true\n'))
  await delay(1500)
  t.match(
    gateway.log().findLast(({ event }) => event === 'policy'),
    { outcome: 'adopted' },
  )
  await writeFile(gateway.policy, policy('    colour: red\n'))
  await delay(1500)
  t.match(
    gateway.log().findLast(({ event }) => event === 'policy'),
    {
      outcome: 'broken',
      reason: 'POLICY_MALFORMED',
      message: /policy\.yaml:8:5: /,
    },
  )
  t.match(await (await fetch(`${gateway.url}/metrics`)).text(), /tagseal_gateway_policy_good 0/)
  going = false
  await Promise.all(asking)
  t.same([...statuses], [200], 'and a broken file changes nothing')
  await writeFile(gateway.policy, policy().replace(/ {4}pin.*\n {4}server.*\n {4}maxAge.*\n/, '    refuse: true\n'))
  await delay(1500)
  const refused = await manifest(gateway, image.digest)
  t.same([refused.status, await reasonOf(refused)], [403, 'REFUSED_BY_RULE'])
})

await t.test(
  'a gateway that is killed keeps nothing half-written, and serves from what it kept',
  { skip },
  async (t) => {
    const { town, owner, policy, folder } = await openSigned(t)
    const layer = stored('application/vnd.oci.image.layer.v1.tar', Buffer.alloc(64 * 1024 * 1024, 'layer'))
    const built = buildImage()
    const { mediaType } = built.manifest
    const body = { schemaVersion: 2, mediaType, config: entry(built.config), layers: [entry(layer)] }
    const large = json(mediaType, body)
    await putBlob(town.registry, 'team/app', built.config)
    await putBlob(town.registry, 'team/app', layer)
    await putManifest(town.registry, 'team/app', 'large', large)
    t.equal((await owner.run(['sign', `${town.repository}:large`])).code, 0)
    const first = await startGateway({ folder, policy: policy() })
    t.teardown(() => first.stop('SIGKILL'))
    t.equal((await manifest(first, 'large')).status, 200)
    const blob = (gateway: TestGateway) => fetch(`${gateway.url}/v2/team/app/blobs/${layer.digest}`)
    const begun = await blob(first)
    const reader = begun.body?.getReader()
    await reader?.read()
    await first.stop('SIGKILL')
    await reader?.read().catch(() => undefined)
    const second = await startGateway({ folder, policy: policy() })
    t.teardown(() => second.stop())
    t.same(await readdir(join(folder, 'cache', 'incoming')), [])
    t.ok(Buffer.from(await (await blob(second)).arrayBuffer()).equals(layer.bytes))
    await town.registry.stop()
    t.ok(Buffer.from(await (await blob(second)).arrayBuffer()).equals(layer.bytes), 'with the registry gone as well')
  },
)

await t.test(
  'the registry is logged in to as the policy says, and its login goes nowhere else',
  { skip },
  async (t) => {
    const { policy, folder, town, owner } = await openSigned(t)
    const locked = await startRegistry({ login: true })
    t.teardown(locked.stop)
    const image = await pushImage(locked, 'team/app', '1.0', buildImage({ layers: [{ a: 'locked' }] }))
    await writeFile(join(folder, 'password'), `${TEST_LOGIN.password}\n`)
    const login = `{ username: ${TEST_LOGIN.username}, passwordFile: password }`
    const upstream = (how: string) => `    upstream: { registry: "${locked.host}", plainHttp: true, login: ${how} }\n`
    await pushImage(town.registry, 'team/app', '1.0', buildImage({ layers: [{ a: 'locked' }] }))
    t.equal((await owner.run(['sign', `${town.repository}:1.0`])).code, 0)
    const gateway = await startGateway({ folder, policy: policy(upstream(login)) })
    t.teardown(() => gateway.stop())
    const got = await manifest(gateway, '1.0')
    t.same([got.status, got.headers.get('docker-content-digest')], [200, image.digest])
    await gateway.stop()
    const without = await startGateway({ folder: t.testdir(), policy: policy(upstream('none')) })
    t.teardown(() => without.stop())
    const refused = await manifest(without, '1.0')
    t.same([refused.status, await reasonOf(refused)], [503, 'UNAUTHORIZED'])
  },
)

await t.test('clients that have to log in', { skip }, async (t) => {
  const { policy, folder } = await openSigned(t)
  await writeFile(join(folder, 'users'), `# who may pull\n${TEST_LOGIN.username}:${TEST_LOGIN.password}\n`)
  const gateway = await startGateway({ folder, policy: policy(), args: ['--users', join(folder, 'users')] })
  t.teardown(() => gateway.stop())
  const as = async (authorization?: string) =>
    await manifest(gateway, '1.0', authorization === undefined ? {} : { headers: { authorization } })
  const stranger = await as()
  t.same([stranger.status, await reasonOf(stranger)], [401, 'LOGIN_REQUIRED'])
  t.match(stranger.headers.get('www-authenticate'), /^Basic realm=/)
  t.equal((await fetch(`${gateway.url}/v2/`)).status, 401, 'the version check says so too')
  t.equal((await as(basic({ ...TEST_LOGIN, password: 'wrong' }))).status, 401)
  t.equal((await as(basic({ username: 'nobody', password: '' }))).status, 401)
  t.equal((await as('Bearer x')).status, 401)
  t.equal((await as(basic(TEST_LOGIN))).status, 200)
})

await t.test('TLS, and clients by certificate', { skip }, async (t) => {
  const { policy, folder, image } = await openSigned(t)
  const [server, client] = [await makeCertificate(join(folder, 'a')), await makeCertificate(join(folder, 'b'))]
  const tls = ['--tls-cert', server.cert, '--tls-key', server.key, '--client-ca', client.ca]
  const gateway = await startGateway({ folder, policy: policy(), args: tls })
  t.teardown(() => gateway.stop())
  t.match(gateway.url, /^https:/)
  const get = (more: object) =>
    new Promise<number | undefined>((resolve, reject) => {
      const asked = request(`${gateway.url}/v2/team/app/manifests/${image.digest}`, {
        ca: server.caText,
        agent: false,
        ...more,
      })
      asked
        .on('response', (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    })
  t.equal(await get({ cert: await readFile(client.cert), key: await readFile(client.key) }), 200)
  await t.rejects(get({}), 'nobody without')
  await t.rejects(
    get({ cert: await readFile(server.cert), key: await readFile(server.key) }),
    "nor with another authority's",
  )
})

await t.test('what was signed once is proved by the files that the server keeps', { skip }, async (t) => {
  const { town, owner, image, policy, folder } = await openSigned(t)
  await town.push('1.0', buildImage({ layers: [{ a: 'next' }] }))
  t.equal((await owner.run(['sign', `${town.repository}:1.0`])).code, 0)
  const gateway = await startGateway({ folder, policy: policy('    signedOnce: true\n') })
  t.teardown(() => gateway.stop())
  t.equal((await manifest(gateway, image.digest)).status, 200)
  t.equal((await owner.run(['revoke', `${town.repository}:1.0`])).code, 0)
  await delay(1100)
  t.equal(await reasonOf(await manifest(gateway, image.digest)), 'DIGEST_NOT_SIGNED')
})

await t.test('unsigned repositories are served where a rule says so, with their own tags', { skip }, async (t) => {
  const { town, policy, folder } = await openSigned(t)
  const open = `  - pattern: ${town.registry.host}/open/**\n    unsigned: true\n`
  const image = buildImage({ layers: [{ a: 'open' }] })
  await pushImage(town.registry, 'open/app', 'any', image)
  const gateway = await startGateway({ folder, policy: policy(open) })
  t.teardown(() => gateway.stop())
  const get = (path: string) => fetch(`${gateway.url}/v2/open/app/${path}`)
  const [layer]: readonly Stored[] = image.layers
  t.equal((await get(`blobs/${layer?.digest}`)).status, 404, 'a layer that no manifest named yet')
  t.equal((await get('manifests/any')).headers.get('docker-content-digest'), image.manifest.digest)
  t.equal((await get(`blobs/${layer?.digest}`)).status, 200)
  t.same(await (await get('tags/list')).json(), { name: 'open/app', tags: ['any'] })
  t.equal((await get('manifests/none')).status, 404)
})
