import { connect } from 'node:net'
import t from 'tap'
import { NAME, openGatewayLab } from '../../support/gateway-lab.ts'
import { buildImage, buildIndex, entry, json, stored } from '../../support/images.ts'
import type { BuiltImage, Stored } from '../../support/images.ts'

const lab = await openGatewayLab()
t.teardown(lab.close)

const [good, evil, elsewhere] = [
  buildImage(),
  buildImage({ layers: [{ a: 'evil' }] }),
  buildImage({ layers: [{ b: '2' }] }),
]
const multi = buildIndex()
for (const built of [good, evil, elsewhere]) lab.registry.serve(built)
lab.registry.serve(multi)
lab.registry.tag('1.0', evil.manifest)
lab.registry.tag('evil', evil.manifest)
lab.sign({ '1.0': good.manifest, multi: multi.index })
const layerOf = ({ layers: [layer] }: BuiltImage): Stored => layer ?? good.config

await t.test('a tag that the registry moved means what was signed', async (t) => {
  for (const method of ['GET', 'HEAD']) {
    const got = await lab.get(`/v2/${NAME}/manifests/1.0`, { method })
    t.same([got.status, got.headers.get('docker-content-digest')], [200, good.manifest.digest])
    t.equal(got.headers.get('content-length'), String(good.manifest.size))
    t.equal(got.headers.get('content-type'), good.manifest.mediaType)
  }
})

const REFUSED: Record<string, { path: string; reason: string }> = {
  'a tag that nobody signed': { path: `/v2/${NAME}/manifests/evil`, reason: 'TAG_NOT_SIGNED' },
  'a manifest by its digest': { path: `/v2/${NAME}/manifests/${evil.manifest.digest}`, reason: 'DIGEST_NOT_SIGNED' },
  'a layer by its digest': { path: `/v2/${NAME}/blobs/${layerOf(evil).digest}`, reason: 'DIGEST_NOT_SIGNED' },
  'a config by its digest': { path: `/v2/${NAME}/blobs/${evil.config.digest}`, reason: 'DIGEST_NOT_SIGNED' },
  'the referrers of an unsigned manifest': {
    path: `/v2/${NAME}/referrers/${evil.manifest.digest}`,
    reason: 'DIGEST_NOT_SIGNED',
  },
  'a registry that no rule names': { path: '/v2/evil.io/x/manifests/1', reason: 'REGISTRY_NOT_ALLOWED' },
  'a namespace that no rule names': { path: '/v2/x/manifests/1?ns=169.254.169.254', reason: 'REGISTRY_NOT_ALLOWED' },
}
for (const [name, { path, reason }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name} in words, and asks nobody for it`, async (t) => {
    await lab.get(`/v2/${NAME}/manifests/sha256:${'0'.repeat(64)}`) // what is signed has been gone down from
    lab.registry.lie()
    const got = await lab.get(path)
    t.same([got.status, got.reason], [403, reason])
    t.match(got.bytes.toString(), /"message":"tagseal: /)
    t.same(lab.registry.asked, [])
  })
}

await t.test('whoever asks by HEAD, and gets no body, is told why in the status line', async (t) => {
  const response = await fetch(`${lab.url}/v2/${NAME}/manifests/evil`, { method: 'HEAD' })
  t.equal(response.status, 403)
  t.match(response.statusText, `DENIED: tagseal: ${NAME} has no signed tag evil`)
  const long = await fetch(`${lab.url}/v2/${NAME}/manifests/${'x'.repeat(128)}`, { method: 'HEAD' })
  t.ok(long.statusText.length <= 300)
})

await t.test('what one repository has is nothing for another', async (t) => {
  const got = await lab.get(`/v2/registry.test/team/other/blobs/${layerOf(good).digest}`)
  t.same([got.status, got.reason], [403, 'REPOSITORY_MISMATCH'])
})

await t.test('a layer is no manifest, and a manifest no layer', async (t) => {
  await lab.get(`/v2/${NAME}/manifests/1.0`)
  const layer = await lab.get(`/v2/${NAME}/manifests/${layerOf(good).digest}`)
  t.same([layer.status, layer.reason], [403, 'OTHER_KIND'])
  const manifest = await lab.get(`/v2/${NAME}/blobs/${good.manifest.digest}`)
  t.same([manifest.status, manifest.reason], [403, 'OTHER_KIND'])
})

for (const method of ['PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS']) {
  await t.test(`nothing can be written: ${method}`, async (t) => {
    lab.registry.lie()
    const got = await lab.get(`/v2/${NAME}/manifests/1.0`, {
      method,
      ...(method === 'PUT' ? { body: 'x'.repeat(1e6) } : {}),
    })
    t.same([got.status, got.reason, got.headers.get('allow')], [405, 'READ_ONLY', 'GET, HEAD'])
    t.same(lab.registry.asked, [])
  })
}

await t.test('parts of a layer', async (t) => {
  const layer = layerOf(good)
  await lab.get(`/v2/${NAME}/manifests/1.0`)
  const path = `/v2/${NAME}/blobs/${layer.digest}`
  const part = async (range: string, more: Record<string, string> = {}) =>
    await lab.get(path, { headers: { range, ...more } })
  const bytes = Buffer.from(layer.bytes)
  const middle = await part('bytes=10-19')
  t.same([middle.status, middle.bytes], [206, bytes.subarray(10, 20)], 'of one that was not fetched yet')
  t.equal(middle.headers.get('content-range'), `bytes 10-19/${layer.size}`)
  t.same((await part('bytes=-5')).bytes, bytes.subarray(-5))
  t.same((await part(`bytes=${layer.size - 1}-`)).bytes, bytes.subarray(-1))
  const beyond = await part(`bytes=${layer.size}-`)
  t.same([beyond.status, beyond.headers.get('content-range')], [416, `bytes */${layer.size}`])
  for (const odd of ['bytes=0-1,3-4', 'bytes=4-2', 'items=1-2', 'bytes=--5']) {
    const got = await part(odd)
    t.same([got.status, got.bytes], [200, bytes], odd)
  }
  t.equal(
    (await part('bytes=1-2', { 'if-range': '"other"' })).status,
    200,
    'a part of something else is no part of this',
  )
  t.equal((await part('bytes=1-2', { 'if-range': `"${layer.digest}"` })).status, 206)
  const head = await lab.get(path, { method: 'HEAD' })
  t.same([head.status, head.headers.get('content-length'), head.bytes.length], [200, String(layer.size), 0])
})

await t.test('clients that leave in the middle leave nothing behind', async (t) => {
  const large = stored('application/vnd.oci.image.layer.v1.tar', Buffer.alloc(8 * 1024 * 1024, 'layer'))
  const { mediaType } = good.manifest
  const body = { schemaVersion: 2, mediaType, config: entry(good.config), layers: [entry(large)] }
  const manifest = json(mediaType, body)
  lab.registry.put(large, manifest)
  lab.sign({ large: manifest })
  lab.pass(3_600_000)
  t.equal((await lab.get(`/v2/${NAME}/manifests/large`)).status, 200)
  const path = `/v2/${NAME}/blobs/${large.digest}`
  const leave = async () => {
    const end = new AbortController()
    const response = await fetch(lab.url + path, { signal: end.signal })
    await response.body?.getReader().read()
    end.abort()
  }
  await Promise.all(Array.from({ length: 20 }, leave))
  t.ok((await lab.get(path)).bytes.equals(large.bytes), 'and whoever stays has it whole')
  t.notOk(lab.log.some(({ event }) => event === 'bug'))
})

await t.test('only signed tags are listed, page by page', async (t) => {
  const list = async (query: string) => await lab.get(`/v2/${NAME}/tags/list${query}`)
  t.same(JSON.parse((await list('')).bytes.toString()), { name: NAME, tags: ['1.0', 'large', 'multi'] })
  const first = await list('?n=1')
  t.equal(first.headers.get('link'), `</v2/${NAME}/tags/list?n=1&last=1.0>; rel="next"`)
  const second = await list('?n=1&last=large')
  t.same([JSON.parse(second.bytes.toString()), second.headers.get('link')], [{ name: NAME, tags: ['multi'] }, null])
  t.same(JSON.parse((await list('?n=0')).bytes.toString()), { name: NAME, tags: [] })
})

const RAW: Record<string, string> = {
  'a header without end': `GET /v2/ HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`,
  'two lengths': 'POST /v2/ HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab',
  'a length and chunks':
    'POST /v2/ HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'a path with a line break': 'GET /v2/a\r\nb HTTP/1.1\r\nhost: x\r\n\r\n',
  'a path that climbs':
    'GET /v2/registry.test/team/%2e%2e/x/manifests/1.0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  'no HTTP at all': '\u0016\u0003\u0001\u0000\u0005',
}
for (const [name, text] of Object.entries(RAW)) {
  await t.test(`does not fall for ${name}`, async (t) => {
    const { port } = new URL(lab.url)
    const socket = connect(Number(port), '127.0.0.1')
    const answered = new Promise<string>((resolve) => {
      let got = ''
      socket.on('data', (part) => (got += part.toString('latin1')))
      socket.on('close', () => resolve(got))
      socket.on('error', () => resolve(got))
    })
    socket.write(text)
    t.match(await answered, /^HTTP\/1\.1 (?:400|431)/)
    t.equal((await lab.get('/v2/')).status, 200, 'and goes on')
  })
}
