import { sign } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { dockerCredentials } from '../../../client/registry/docker-config.ts'
import { parseImage } from '../../../client/registry/reference.ts'
import { openRegistry, type Registry } from '../../../client/registry/registry.ts'
import type { RegistrySettings } from '../../../client/registry/settings.ts'
import { walkImage } from '../../../client/registry/walk.ts'
import { startHostileRegistry, when } from '../../support/hostile-registry.ts'
import { buildImage, buildIndex, everythingOf, type Stored } from '../../support/images.ts'
import {
  basic,
  deleteFrom,
  pushImage,
  skopeoCopy,
  startRegistry,
  TEST_LOGIN,
  type TestRegistry,
  type TestRegistryOptions,
  whyNoRegistry,
  whyNoSkopeo,
} from '../../support/registry.ts'
import { makeCertificate, whyNoOpenssl } from '../../support/tls.ts'

const noRegistry = await whyNoRegistry()
const noSkopeo = await whyNoSkopeo()
const noOpenssl = await whyNoOpenssl()
const skip = (...reasons: readonly (string | undefined)[]) => ({
  skip: reasons.find((one) => one !== undefined) ?? false,
})

const INDEX = buildIndex()
const DOCKER = buildImage({ docker: true })
const DOCKER_LIST = buildIndex([{ docker: true }, { docker: true, architecture: 'arm64' }])

async function start(t: Test, options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const registry = await startRegistry(options)
  t.teardown(() => registry.stop())
  return registry
}

function open(t: Test, settings: RegistrySettings = {}): Registry {
  const registry = openRegistry(settings)
  t.teardown(() => registry.close())
  return registry
}

/** Logged in as `docker login` would leave it. */
function loggedIn(t: Test, host: string) {
  const config = {
    auths: { [host]: { auth: Buffer.from(`${TEST_LOGIN.username}:${TEST_LOGIN.password}`).toString('base64') } },
  }
  const dir = join(t.testdir({ docker: { 'config.json': JSON.stringify(config) } }), 'docker')
  return dockerCredentials({ environment: { DOCKER_CONFIG: dir }, homeDirectory: '/' })
}

await t.test('docker-registry', skip(noRegistry), async (t) => {
  const server = await start(t)
  const image = (name: string) => parseImage(`${server.host}/team/${name}`)

  for (const [name, built] of Object.entries({ 'oci:1': INDEX, 'docker:1': DOCKER, 'list:1': DOCKER_LIST })) {
    await t.test(`gives ${name}, every part of it`, async (t) => {
      const [repository = ''] = name.split(':')
      const top = await pushImage(server, `team/${repository}`, '1', built)
      const registry = open(t)
      const resolved = await registry.resolveTag(image(name))
      t.same(resolved, { digest: top.digest, length: top.size, mediaType: top.mediaType })
      if (resolved === undefined) return
      const parts = new Set(everythingOf(built).map(({ digest }) => digest))
      for (const deep of [false, true]) {
        const { manifests, blobs, foreign } = await walkImage(registry, image(name), resolved, { deep })
        t.same(new Set([...manifests, ...blobs].map(({ digest }) => digest)), parts)
        t.same(foreign, [])
      }
    })
  }
  await t.test('has no such tag, and no such repository', async (t) => {
    t.equal(await open(t).resolveTag(image('oci:none')), undefined)
    t.equal(await open(t).resolveTag(image('nowhere:1')), undefined)
  })
  await t.test('lets go of a layer, which is noticed', async (t) => {
    const built = buildImage({ layers: [{ gone: 'soon' }] })
    const top = await pushImage(server, 'team/gone', '1', built)
    await deleteFrom(server, 'team/gone', 'blobs', (built.layers[0] as Stored).digest)
    const target = { digest: top.digest, length: top.size }
    for (const deep of [false, true]) {
      await t.rejects(walkImage(open(t), image('gone'), target, { deep }), { code: 'UNKNOWN_BLOB' })
    }
  })
  await t.test('has a disk on which a layer changes, which is noticed', async (t) => {
    const built = buildImage({ layers: [{ changed: 'later' }] })
    const top = await pushImage(server, 'team/changed', '1', built)
    const layer = built.layers[0] as Stored
    await writeFile(await fileOf(server, layer.digest), Buffer.alloc(layer.size, 'x'))
    const target = { digest: top.digest, length: top.size }
    await t.rejects(walkImage(open(t), image('changed'), target, { deep: true }), { code: 'DIGEST_MISMATCH' })
  })
  await t.test('goes on with a layer where a connection broke', async (t) => {
    const { layers } = INDEX.images[0] ?? { layers: [] }
    const [layer] = layers as [Stored]
    const proxy = await startHostileRegistry()
    t.teardown(() => proxy.close())
    let asked = 0
    proxy.lie(
      when(/blobs/, (request, response) => {
        void forward(server, request, response, asked++ === 0 ? 20 : undefined)
      }),
    )
    const registry = open(t, { limits: { backoffMs: 1 } })
    await t.resolves(registry.blob(parseImage(`${proxy.host}/team/oci`), layer))
    t.match(proxy.asked.at(-1)?.headers, { range: 'bytes=20-' })
  })
})

await t.test('docker-registry with a login', skip(noRegistry), async (t) => {
  const server = await start(t, { login: true })
  const top = await pushImage(server, 'team/app', '1', INDEX)
  const image = parseImage(`${server.host}/team/app:1`)
  await t.test('lets us in', async (t) => {
    const registry = open(t, { credentials: loggedIn(t, server.host) })
    t.match(await registry.resolveTag(image), { digest: top.digest })
    await t.resolves(walkImage(registry, image, { digest: top.digest, length: top.size }, { deep: true }))
  })
  await t.test('does not let us in without', async (t) => {
    await t.rejects(open(t).resolveTag(image), { code: 'UNAUTHORIZED', hint: `docker login ${server.host}` })
  })
})

await t.test('docker-registry with TLS', skip(noRegistry, noOpenssl), async (t) => {
  const tls = await makeCertificate(t.testdir({}))
  const server = await start(t, { tls })
  const image = parseImage(`${server.host}/team/app:1`)
  await t.test('is trusted through its authority', async (t) => {
    t.equal(await open(t, { ca: tls.caText }).resolveTag(image), undefined)
  })
  await t.test('is not trusted without, nor is plain http tried in its place', async (t) => {
    await t.rejects(open(t).resolveTag(image), { code: 'CERTIFICATE_REFUSED' })
  })
})

/** A token service as the distribution specification has it, signing what docker-registry verifies. */
await t.test('docker-registry with a token service', skip(noRegistry, noOpenssl), async (t) => {
  const { cert, key } = await makeCertificate(t.testdir({}))
  const certificate = (await readFile(cert, 'utf8')).replace(/-----[A-Z ]+-----|\s/g, '')
  const privateKey = await readFile(key, 'utf8')
  const service = await startHostileRegistry()
  t.teardown(() => service.close())
  const token = { realm: `${service.url}/token`, service: 'the registry', issuer: 'test', bundle: cert }
  const server = await start(t, { token })
  service.lie(
    when(/^\/token/, (request, response) => {
      const { searchParams } = new URL(request.url ?? '', service.url)
      const allowed = request.headers.authorization === basic(TEST_LOGIN) ? ['pull', 'push'] : []
      const access = searchParams.getAll('scope').map((scope) => {
        const [type = '', name = '', actions = ''] = scope.split(':')
        return { type, name, actions: actions.split(',').filter((action) => allowed.includes(action)) }
      })
      const now = Math.floor(Date.now() / 1000)
      const claims = {
        iss: 'test',
        aud: searchParams.get('service'),
        sub: '',
        iat: now,
        nbf: now - 60,
        exp: now + 300,
        jti: '1',
        access,
      }
      response.end(JSON.stringify({ token: jwt(claims, certificate, privateKey), expires_in: 300 }))
    }),
  )
  const image = parseImage(`${server.host}/team/app:1`)
  const push = await fetch(`${service.url}/token?service=the+registry&scope=repository:team/app:pull,push`, {
    headers: { authorization: basic(TEST_LOGIN) },
  })
  const { token: raw } = (await push.json()) as { token: string }
  const top = await pushImage({ ...server, authorization: `Bearer ${raw}` }, 'team/app', '1', INDEX)

  await t.test('lets us in by a token, and asks for it once', async (t) => {
    const registry = open(t, { credentials: loggedIn(t, server.host) })
    const before = service.asked.length
    t.match(await registry.resolveTag(image), { digest: top.digest })
    await t.resolves(walkImage(registry, image, { digest: top.digest, length: top.size }, { deep: true }))
    t.equal(service.asked.length, before + 1)
  })
  await t.test('does not let us in with a token for nobody', async (t) => {
    await t.rejects(open(t).resolveTag(image), { code: 'UNAUTHORIZED', detail: { sent: false } })
  })
})

await t.test('an image that skopeo copied', skip(noRegistry, noSkopeo), async (t) => {
  const server = await start(t)
  const { index } = INDEX
  await pushImage(server, 'team/app', '1', INDEX)
  await skopeoCopy(`docker://${server.host}/team/app:1`, `docker://${server.host}/copy/app:1`)
  const registry = open(t)
  const copy = parseImage(`${server.host}/copy/app:1`)
  t.match(await registry.resolveTag(copy), { digest: index.digest })
  await t.resolves(walkImage(registry, copy, { digest: index.digest, length: index.size }, { deep: true }))

  await t.test('into docker’s format is walked as well', async (t) => {
    const converted = parseImage(`${server.host}/copy/converted:1`)
    await pushImage(server, 'team/one', '1', buildImage())
    await skopeoCopy(`docker://${server.host}/team/one:1`, `docker://${converted.name}:1`, '--format', 'v2s2')
    const resolved = await registry.resolveTag(converted)
    t.match(resolved, { mediaType: 'application/vnd.docker.distribution.manifest.v2+json' })
    if (resolved !== undefined) await t.resolves(walkImage(registry, converted, resolved, { deep: true }))
  })
  await t.test('into docker’s first format is refused', async (t) => {
    const old = parseImage(`${server.host}/copy/old:1`)
    const copied = skopeoCopy(`docker://${server.host}/team/one:1`, `docker://${old.name}:1`, '--format', 'v2s1')
    if (
      await copied.then(
        () => false,
        () => true,
      )
    )
      return t.comment('this skopeo cannot write schema 1')
    await t.rejects(registry.resolveTag(old), { code: 'UNSUPPORTED_MANIFEST' })
  })
})

/** Passes a request on, and the answer back, or no more than its first bytes. */
async function forward(
  server: TestRegistry,
  request: IncomingMessage,
  response: ServerResponse,
  most?: number,
): Promise<void> {
  const { range } = request.headers
  const answer = await fetch(`${server.url}${request.url ?? ''}`, { headers: range === undefined ? {} : { range } })
  const bytes = Buffer.from(await answer.arrayBuffer())
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  if (most === undefined) response.end(bytes)
  else response.write(bytes.subarray(0, most), () => response.destroy())
}

function jwt(claims: object, certificate: string, privateKey: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ typ: 'JWT', alg: 'ES256', x5c: [certificate] })}.${part(claims)}`
  const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

async function fileOf({ storage }: TestRegistry, digest: string): Promise<string> {
  const files = await readdir(storage, { recursive: true })
  const [found] = files.filter((file) => file.endsWith(join(digest.slice('sha256:'.length), 'data')))
  return join(storage, found ?? '')
}
