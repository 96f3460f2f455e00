/** A server or registry sends its clients elsewhere: to take their logins along, or to knock on doors inside. */
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { Secret } from '../../client/registry/credentials.ts'
import { parseImage } from '../../client/registry/reference.ts'
import { openRegistry } from '../../client/registry/registry.ts'
import { walkImage } from '../../client/registry/walk.ts'
import { codeOf } from '../support/cli.ts'
import { openLab } from '../support/attack-lab.ts'
import { challenge, redirect, startHostileRegistry, when } from '../support/hostile-registry.ts'
import type { Lie } from '../support/hostile-registry.ts'
import { buildImage, entry, json } from '../support/images.ts'
import { basic } from '../support/registry.ts'

/** Where neither a trust server nor a registry on this machine may send anybody. */
const INSIDE: Record<string, string> = {
  "the cloud's metadata service": 'http://169.254.169.254/latest/meta-data/',
  'the same in one number': 'http://2852039166/latest/',
  'the same in octal': 'http://0251.0376.0251.0376/',
  'the same within IPv6': 'http://[::ffff:169.254.169.254]/',
  'a link-local address': 'http://[fe80::1]/',
  'another machine in plain http': 'http://registry.example.com/',
  'a file': 'file:///etc/passwd',
  'an older protocol': 'ftp://127.0.0.1/x',
  'data in the address': 'data:application/json,{}',
  'an address with a login': 'http://admin:admin@127.0.0.1:1/',
  'no address': 'http://',
}
/** Refused by registries' clients though it is https. */
const INSIDE_BY_TLS = {
  "the cloud's metadata service by TLS": 'https://169.254.169.254/',
  'link-local by TLS': 'https://[fe80::1]/',
}

type Seen = { readonly url: string; readonly headers: IncomingMessage['headers'][] }
async function listener(t: Test): Promise<Seen> {
  const headers: IncomingMessage['headers'][] = []
  const server = createServer((request, response) => {
    headers.push(request.headers)
    response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, headers }
}

for (const [name, to] of Object.entries(INSIDE)) {
  await t.test(`the trust server sends nobody to ${name}`, async (t) => {
    const lab = await openLab()
    t.teardown(lab.close)
    await lab.library()
    const kept = await lab.kept('library')
    lab.interfere = (_, response) => {
      response.writeHead(302, { location: to }).end()
      return true
    }
    await t.rejects(lab.library(), { code: /^(?:REDIRECT_REFUSED|PLAIN_HTTP_REFUSED)$/ })
    t.same(await lab.kept('library'), kept)
  })
}
await t.test('a loop of redirects ends', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  let asked = 0
  lab.interfere = (file, response) => {
    asked++
    response.writeHead(302, { location: `/v2/registry.example.com/team/app/_trust/tuf/${file}` }).end()
    return true
  }
  await t.rejects(lab.library(), { code: 'REDIRECT_REFUSED' })
  t.ok(asked <= 6, `${asked} requests`)
})
await t.test('a token for the trust server goes to no other host', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  const elsewhere = await listener(t)
  lab.interfere = (file, response) => {
    if (!file.endsWith('root.json')) return false
    response.writeHead(307, { location: `${elsewhere.url}/${file}` }).end()
    return true
  }
  await lab.library({ token: 'tst_secret' })
  const path = join(lab.folder, 'token')
  await writeFile(path, 'tst_secret')
  const ran = await lab.command('1.0', { env: { TAGSEAL_TOKEN_FILE: path } })
  t.equal(ran.code, 0, ran.stderr)
  t.equal(elsewhere.headers.length, 2, 'it was asked by both')
  for (const headers of elsewhere.headers) t.notMatch(JSON.stringify(headers), /secret/)
})
await t.test('a redirect is no way around verification', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  await lab.command()
  lab.interfere = (file, response) => {
    if (file !== 'timestamp.json') return false
    response.writeHead(302, { location: 'http://169.254.169.254/' }).end()
    return true
  }
  const ran = await lab.command()
  t.same([ran.code, codeOf(ran), /"digest"/.test(ran.stdout)], [1, 'PLAIN_HTTP_REFUSED', false])
})

const IMAGE = buildImage()
const LOGIN = { username: 'ann', password: 'hunter2' }

async function town(t: Test) {
  const [server, elsewhere] = await Promise.all([startHostileRegistry(), startHostileRegistry()])
  t.teardown(() => Promise.all([server.close(), elsewhere.close()]))
  for (const registry of [server, elsewhere]) registry.serve(IMAGE, '1.0')
  const credentials = {
    find: async () => ({ kind: 'basic', username: 'ann', password: new Secret('hunter2') }) as const,
  }
  const limits = { idleMs: 1000, requestMs: 2000 }
  const registry = openRegistry({ plainHttp: true, sleep: async () => {}, credentials, limits })
  t.teardown(registry.close)
  const ref = parseImage(`${server.host}/team/app:1.0`)
  const { digest, size: length } = IMAGE.manifest
  return { server, elsewhere, registry, ref, walk: () => walkImage(registry, ref, { digest, length }, { deep: true }) }
}
const realm = (to: string) => `Bearer realm="${to}",service="x",scope="repository:team/app:pull"`
const WAYS: Record<string, (to: string) => Lie> = {
  'a redirect of a manifest': (to) => redirect(/manifests/, to),
  'a redirect of a blob': (to) => redirect(/blobs/, to),
  'the realm of a token': (to) => challenge(/manifests/, realm(to), 'Bearer never'),
}
for (const [way, lie] of Object.entries(WAYS)) {
  await t.test(`a registry sends nobody inside by ${way}`, async (t) => {
    const { server, walk } = await town(t)
    for (const [name, to] of Object.entries({ ...INSIDE, ...INSIDE_BY_TLS })) {
      server.lie(lie(to))
      const code = way.startsWith('the realm') ? 'REALM_REFUSED' : 'REDIRECT_REFUSED'
      await t.rejects(walk(), { code }, name)
    }
  })
}
await t.test('a login for a registry goes to no host that it redirects to', async (t) => {
  const { server, elsewhere, walk } = await town(t)
  const toElsewhere = redirect(/blobs/, (request) => `${elsewhere.url}${request.url ?? ''}`)
  server.lie(challenge(/^\/v2\/team/, 'Basic realm="x"', basic(LOGIN)), toElsewhere)
  await walk()
  t.ok(elsewhere.asked.length > 0, 'it was asked')
  t.notOk(elsewhere.asked.some(({ headers }) => headers.authorization !== undefined))
})
await t.test('layers that are to come from elsewhere are never fetched from there', async (t) => {
  const { server, elsewhere, registry, ref } = await town(t)
  const [layer] = IMAGE.layers
  const urls = [`${elsewhere.url}/layer`, 'http://169.254.169.254/', 'file:///etc/passwd']
  const type = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
  const layers = [
    { ...(layer === undefined ? {} : entry(layer)), mediaType: type, urls, digest: `sha256:${'0'.repeat(64)}` },
  ]
  const manifest = json(IMAGE.manifest.mediaType, {
    schemaVersion: 2,
    mediaType: IMAGE.manifest.mediaType,
    config: entry(IMAGE.config),
    layers,
  })
  server.put(manifest)
  server.lie(when(/sha256:0{64}/, (_, response) => response.writeHead(404).end()))
  const report = await walkImage(registry, ref, { digest: manifest.digest, length: manifest.size }, { deep: true })
  t.same([report.foreign.length, elsewhere.asked.length], [1, 0], 'and said to be unchecked')
})
