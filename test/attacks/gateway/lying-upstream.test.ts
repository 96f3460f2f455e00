import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { NAME, openGatewayLab } from '../../support/gateway-lab.ts'
import { breakAfter, drip, endless, hang, redirect, when } from '../../support/hostile-registry.ts'
import type { Lie } from '../../support/hostile-registry.ts'
import { buildImage, buildIndex, entry, json, stored } from '../../support/images.ts'
import type { BuiltImage, Stored } from '../../support/images.ts'

const MANIFEST = /\/manifests\//
const BLOB = /\/blobs\//

const lab = await openGatewayLab({ rule: '    maxAge: 2s' })
t.teardown(lab.close)
let made = 0

/** An image that nobody asked for yet, signed as that tag. */
function fresh(tag: string): BuiltImage {
  made += 1
  lab.registry.lie()
  const image = buildImage({ layers: [{ number: `${made} ${'x'.repeat(1000)}` }] })
  lab.registry.serve(image)
  lab.sign({ [tag]: image.manifest })
  lab.pass(2000) // past what was known
  return image
}

const other = ({ size }: Stored) => Buffer.alloc(size, 'evil')
const answer =
  (path: RegExp, body: (image: BuiltImage) => Uint8Array, headers: object = {}) =>
  (image: BuiltImage) =>
    when(path, (_request, response) => {
      const bytes = body(image)
      response.writeHead(200, { 'content-length': bytes.length, ...headers }).end(bytes)
    })
const chunked = (path: RegExp, body: (image: BuiltImage) => Uint8Array) => (image: BuiltImage) =>
  when(path, (_request, response) => {
    response.write(body(image))
    response.end()
  })
const layerOf = ({ layers: [layer] }: BuiltImage): Stored => layer ?? stored('none', Buffer.alloc(0))

const MANIFESTS: Record<string, { lie: (image: BuiltImage) => Lie; status: number; reason: string }> = {
  'other bytes of the same length': {
    lie: answer(MANIFEST, ({ manifest }) => other(manifest)),
    status: 403,
    reason: 'DIGEST_MISMATCH',
  },
  'one byte more': {
    lie: answer(MANIFEST, ({ manifest }) => Buffer.concat([manifest.bytes, Buffer.from(' ')])),
    status: 403,
    reason: 'SIZE_MISMATCH',
  },
  'one byte more, without saying so': {
    lie: chunked(MANIFEST, ({ manifest }) => Buffer.concat([manifest.bytes, Buffer.from(' ')])),
    status: 403,
    reason: 'TOO_LARGE',
  },
  'bytes without an end': { lie: () => endless(MANIFEST), status: 403, reason: 'TOO_LARGE' },
  'the right bytes as another kind': {
    lie: answer(MANIFEST, ({ manifest }) => manifest.bytes, {
      'content-type': 'application/vnd.oci.image.index.v1+json',
    }),
    status: 403,
    reason: 'MEDIA_TYPE_MISMATCH',
  },
  'nothing, for a long time': { lie: ({ manifest }) => hang(MANIFEST, manifest.size), status: 503, reason: 'TIMEOUT' },
  'a byte now and then': { lie: ({ manifest }) => drip(MANIFEST, manifest.size, 300), status: 503, reason: 'TIMEOUT' },
  'half of it, again and again': {
    lie: ({ manifest }) => breakAfter(MANIFEST, manifest, 10, 99),
    status: 503,
    reason: 'UNREACHABLE',
  },
  'a redirect in a circle': {
    lie: () => redirect(MANIFEST, ({ url }) => url ?? ''),
    status: 503,
    reason: 'REDIRECT_REFUSED',
  },
  'a redirect to the address of a metadata service': {
    lie: () => redirect(MANIFEST, 'http://169.254.169.254/latest/meta-data/'),
    status: 503,
    reason: 'REDIRECT_REFUSED',
  },
  'a redirect to a file': {
    lie: () => redirect(MANIFEST, 'file:///etc/passwd'),
    status: 503,
    reason: 'REDIRECT_REFUSED',
  },
  'packed bytes that nobody asked for': {
    lie: answer(MANIFEST, ({ manifest }) => manifest.bytes, { 'content-encoding': 'gzip' }),
    status: 503,
    reason: 'BAD_RESPONSE',
  },
}

for (const [name, { lie, status, reason }] of Object.entries(MANIFESTS)) {
  await t.test(`a manifest: ${name}`, async (t) => {
    const image = fresh('1.0')
    lab.registry.lie(lie(image))
    const got = await lab.get(`/v2/${NAME}/manifests/1.0`)
    t.same([got.status, got.reason], [status, reason])
    lab.registry.lie()
    const honest = await lab.get(`/v2/${NAME}/manifests/1.0`)
    t.same(
      [honest.status, honest.bytes],
      [200, Buffer.from(image.manifest.bytes)],
      'and the honest one is had afterwards',
    )
  })
}

await t.test('a manifest under another digest in a header: the bytes count', async (t) => {
  const image = fresh('1.0')
  lab.registry.lie(answer(MANIFEST, ({ manifest }) => manifest.bytes, { 'docker-content-digest': 'sha256:00' })(image))
  const got = await lab.get(`/v2/${NAME}/manifests/1.0`)
  t.same([got.status, got.headers.get('docker-content-digest')], [200, image.manifest.digest])
})

/** Small ones, which are refused in words before there is an answer. */
const BLOBS: Record<string, { lie: (image: BuiltImage) => Lie; refused?: string; whole?: true }> = {
  'other bytes of the same length': { lie: answer(BLOB, (image) => other(layerOf(image))), refused: 'DIGEST_MISMATCH' },
  'the last byte changed': {
    lie: answer(BLOB, (image) => {
      const bytes = Buffer.from(layerOf(image).bytes)
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
      return bytes
    }),
    refused: 'DIGEST_MISMATCH',
  },
  'one byte more': {
    lie: answer(BLOB, (image) => Buffer.concat([layerOf(image).bytes, Buffer.from(' ')])),
    refused: 'SIZE_MISMATCH',
  },
  'one byte less': { lie: answer(BLOB, (image) => layerOf(image).bytes.subarray(1)), refused: 'SIZE_MISMATCH' },
  'one byte more, without saying so': {
    lie: chunked(BLOB, (image) => Buffer.concat([layerOf(image).bytes, Buffer.from(' ')])),
    refused: 'SIZE_MISMATCH',
  },
  'bytes without an end': { lie: () => endless(BLOB), refused: 'SIZE_MISMATCH' },
  'nothing, for a long time': { lie: (image) => hang(BLOB, layerOf(image).size), refused: 'TIMEOUT' },
  'a redirect to the address of a metadata service': {
    lie: () => redirect(BLOB, 'http://169.254.169.254/latest/meta-data/'),
    refused: 'REDIRECT_REFUSED',
  },
  'a connection that breaks once': { lie: (image) => breakAfter(BLOB, layerOf(image), 20), whole: true },
}

/** What is still being written once the answer has ended; the file goes a moment after it. */
async function leftBehind(): Promise<readonly string[]> {
  const incoming = () => readdir(join(lab.folder, 'cache', 'incoming'))
  const deadline = performance.now() + 10_000
  while ((await incoming()).length > 0 && performance.now() < deadline) await delay(20)
  return await incoming()
}

for (const [name, { lie, refused, whole }] of Object.entries(BLOBS)) {
  await t.test(`a layer: ${name}`, async (t) => {
    const image = fresh('1.0')
    const layer = layerOf(image)
    t.equal((await lab.get(`/v2/${NAME}/manifests/1.0`)).status, 200)
    lab.registry.lie(lie(image))
    const asked = lab.get(`/v2/${NAME}/blobs/${layer.digest}`)
    if (whole === true) t.same((await asked).bytes, Buffer.from(layer.bytes))
    else t.equal((await asked).reason, refused)
    t.same(await leftBehind(), [], 'nothing of it stays')
    lab.registry.lie()
    const honest = await lab.get(`/v2/${NAME}/blobs/${layer.digest}`)
    t.same([honest.status, honest.bytes], [200, Buffer.from(layer.bytes)])
  })
}

await t.test('a large layer whose last byte is another one never arrives whole', async (t) => {
  const layer = stored('application/vnd.oci.image.layer.v1.tar', randomBytes(3 * 1024 * 1024))
  const image = buildImage()
  const { mediaType } = image.manifest
  const body = { schemaVersion: 2, mediaType, config: entry(image.config), layers: [entry(layer)] }
  const manifest = json(mediaType, body)
  lab.registry.lie()
  lab.registry.put(manifest, image.config, layer)
  lab.sign({ large: manifest })
  lab.pass(2000)
  t.equal((await lab.get(`/v2/${NAME}/manifests/large`)).status, 200)
  const wrong = Buffer.from(layer.bytes)
  wrong.writeUInt8(wrong.readUInt8(wrong.length - 1) ^ 1, wrong.length - 1)
  lab.registry.lie(when(BLOB, (_request, response) => void response.end(wrong)))
  const responses = await Promise.all(
    Array.from({ length: 5 }, () => fetch(`${lab.url}/v2/${NAME}/blobs/${layer.digest}`)),
  )
  for (const { status, headers, body: parts } of responses) {
    t.same([status, headers.get('content-length')], [200, String(layer.size)])
    let got = 0
    const read = async () => {
      for await (const part of parts ?? []) got += (part as Uint8Array).length
    }
    await t.rejects(read(), 'the connection ends')
    t.ok(got < layer.size, `after ${got} of ${layer.size} bytes`)
  }
  lab.registry.lie()
  const honest = await lab.get(`/v2/${NAME}/blobs/${layer.digest}`)
  t.ok(honest.bytes.equals(layer.bytes), 'and the honest one is had whole')
})

await t.test('a layer that is not kept, because it is too large for the cache, is hashed all the same', async (t) => {
  const small = await openGatewayLab({ cacheBytes: 700 })
  t.teardown(small.close)
  const image = buildImage({ layers: [{ big: Array.from({ length: 3000 }, (_, i) => i * i).join('') }] })
  small.registry.serve(image)
  small.sign({ '1.0': image.manifest })
  await small.get(`/v2/${NAME}/manifests/1.0`)
  const path = `/v2/${NAME}/blobs/${layerOf(image).digest}`
  t.same((await small.get(path)).bytes, Buffer.from(layerOf(image).bytes))
  t.equal(
    (await small.get(path, { headers: { range: 'bytes=5-' } })).status,
    200,
    'a part of it is answered with the whole',
  )
  small.registry.lie(answer(BLOB, (built) => other(layerOf(built)))(image))
  await t.rejects(small.get(path))
})

await t.test('an image that sends its readers elsewhere is refused', async (t) => {
  const image = buildImage()
  const foreign = { ...entry(layerOf(image)), urls: ['http://169.254.169.254/layer'] }
  const manifest = json(image.manifest.mediaType, {
    schemaVersion: 2,
    mediaType: image.manifest.mediaType,
    config: entry(image.config),
    layers: [foreign],
  })
  lab.registry.put(manifest, image.config, ...image.layers)
  lab.sign({ foreign: manifest })
  lab.pass(2000)
  const got = await lab.get(`/v2/${NAME}/manifests/foreign`)
  t.same([got.status, got.reason], [403, 'FOREIGN_CONTENT'])
  const blob = await lab.get(`/v2/${NAME}/blobs/${layerOf(image).digest}`)
  t.same([blob.status, blob.reason], [403, 'DIGEST_NOT_SIGNED'])
})

await t.test('a signed manifest of five megabytes is refused unread', async (t) => {
  const giant = stored('application/vnd.oci.image.manifest.v1+json', Buffer.alloc(5 * 1024 * 1024, ' '))
  lab.registry.put(giant)
  lab.sign({ giant })
  lab.pass(2000)
  lab.registry.lie()
  const got = await lab.get(`/v2/${NAME}/manifests/giant`)
  t.same([got.status, got.reason], [403, 'TOO_LARGE'])
  t.same(lab.registry.asked, [], 'and not even asked for')
})

await t.test('a child of an index is what the index says', async (t) => {
  const index = buildIndex()
  lab.registry.serve(index)
  lab.sign({ multi: index.index })
  lab.pass(2000)
  t.equal((await lab.get(`/v2/${NAME}/manifests/multi`)).status, 200)
  const [child] = index.images
  if (child === undefined) throw new Error('no child')
  lab.registry.lie(when(MANIFEST, (_request, response) => void response.end(other(child.manifest))))
  const got = await lab.get(`/v2/${NAME}/manifests/${child.manifest.digest}`)
  t.same([got.status, got.reason], [403, 'DIGEST_MISMATCH'])
})
