import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { REGISTRY_LIMITS, type RegistryLimits } from '../../../client/registry/limits.ts'
import { type ImageReference, parseImage } from '../../../client/registry/reference.ts'
import { openRegistry, type Registry } from '../../../client/registry/registry.ts'
import type { RegistrySettings } from '../../../client/registry/settings.ts'
import {
  answerError,
  breakAfter,
  drip,
  endless,
  type HostileRegistry,
  hang,
  type Lie,
  startHostileRegistry,
  when,
} from '../../support/hostile-registry.ts'
import { buildImage, buildIndex, type Stored, stored } from '../../support/images.ts'

const IMAGE = buildImage()
const INDEX = buildIndex()
const OTHER = buildImage({ layers: [{ evil: 'yes\n' }] })
const BIG = stored('application/octet-stream', Buffer.alloc(3_000_000, 'tagseal'))
const MANIFESTS = /\/manifests\//
const BLOBS = /\/blobs\//
const OCI = 'application/vnd.oci.image.manifest.v1+json'

const server = await startHostileRegistry()
const other = await startHostileRegistry()
t.teardown(() => Promise.all([server.close(), other.close()]))
server.serve(IMAGE, '1.0')
server.serve(INDEX, 'multi')
server.put(BIG)
server.put(OTHER.manifest)

/** Impatient, and with the waits written down instead of waited for. */
function open(t: Test, settings: RegistrySettings = {}): Registry & { readonly waits: number[] } {
  const waits: number[] = []
  const limits: Partial<RegistryLimits> = { idleMs: 300, requestMs: 900, bytesPerSecond: 1e9, ...settings.limits }
  const sleep = async (milliseconds: number) => void waits.push(milliseconds)
  const registry = openRegistry({ plainHttp: true, sleep, random: () => 1, ...settings, limits })
  t.teardown(() => registry.close())
  return { ...registry, waits }
}

const image = (tag = '1.0', at: HostileRegistry = server): ImageReference => parseImage(`${at.host}/team/app:${tag}`)
const asIf = (content: Stored, bytes: Uint8Array, headers: Record<string, string | number> = {}): Lie =>
  when(new RegExp(content.digest), (_request, response) => {
    response.writeHead(200, { 'content-type': content.mediaType, 'docker-content-digest': content.digest, ...headers })
    response.end(bytes)
  })

await t.test('a tag', async (t) => {
  await t.test('resolves to the digest, length and type of the bytes that came', async (t) => {
    const { digest, size: length, mediaType } = INDEX.index
    t.same(await open(t).resolveTag(image('multi')), { digest, length, mediaType })
  })
  await t.test('is asked for with every type we know, or some registries would convert it', async (t) => {
    server.lie()
    await open(t).resolveTag(image())
    const [{ method, headers } = { method: '', headers: {} }] = server.asked
    t.equal(method, 'GET')
    for (const type of ['oci.image.index.v1', 'oci.image.manifest.v1', 'manifest.list.v2', 'manifest.v2'])
      t.match(headers.accept, type)
    t.equal(headers['accept-encoding'], 'identity')
  })
  await t.test('that the registry does not have is undefined, and no error', async (t) => {
    t.equal(await open(t).resolveTag(image('none')), undefined)
  })
  await t.test('has the digest of its bytes, whatever the header says', async (t) => {
    server.lie(
      when(/1\.0/, (_request, response) => {
        response.setHeader('content-type', OTHER.manifest.mediaType)
        response.setHeader('docker-content-digest', IMAGE.manifest.digest).end(OTHER.manifest.bytes)
      }),
    )
    t.match(await open(t).resolveTag(image()), { digest: OTHER.manifest.digest })
  })
  await t.test('that moves between two questions is seen to move', async (t) => {
    server.lie(
      when(/1\.0/, (_request, response) => response.setHeader('content-type', OCI).end(OTHER.manifest.bytes), 1),
    )
    const registry = open(t)
    t.match(await registry.resolveTag(image()), { digest: OTHER.manifest.digest })
    t.match(await registry.resolveTag(image()), { digest: IMAGE.manifest.digest })
  })
  await t.test('with a digest in place of the tag is held against that digest', async (t) => {
    const ref = parseImage(`${server.host}/team/app@${IMAGE.manifest.digest}`)
    server.lie()
    t.match(await open(t).resolveTag(ref), { digest: IMAGE.manifest.digest })
    server.lie(asIf(IMAGE.manifest, OTHER.manifest.bytes))
    await t.rejects(open(t).resolveTag(ref), { code: 'DIGEST_MISMATCH' })
  })
})

type Refusal = {
  readonly lies: readonly Lie[]
  readonly refused: string
  readonly requests?: number
  readonly detail?: object
}
const manifestLie = (bytes: Uint8Array, headers: Record<string, string | number> = {}) =>
  asIf(IMAGE.manifest, bytes, headers)
const withType = (type: string) => manifestLie(IMAGE.manifest.bytes, { 'content-type': type })

const MANIFEST_LIES: Record<string, Refusal> = {
  'other bytes of another length': {
    lies: [manifestLie(OTHER.manifest.bytes, { 'content-length': OTHER.manifest.size })],
    refused: 'SIZE_MISMATCH',
  },
  'one byte changed': { lies: [manifestLie(flipped(IMAGE.manifest.bytes))], refused: 'DIGEST_MISMATCH', requests: 1 },
  'a byte more, announced': {
    lies: [
      manifestLie(Buffer.concat([IMAGE.manifest.bytes, Buffer.from(' ')]), {
        'content-length': IMAGE.manifest.size + 1,
      }),
    ],
    refused: 'SIZE_MISMATCH',
  },
  'a byte more, in chunks': {
    lies: [manifestLie(Buffer.concat([IMAGE.manifest.bytes, Buffer.from(' ')]))],
    refused: 'TOO_LARGE',
  },
  'a byte less, in chunks': { lies: [manifestLie(IMAGE.manifest.bytes.subarray(1))], refused: 'SIZE_MISMATCH' },
  nothing: { lies: [manifestLie(new Uint8Array())], refused: 'SIZE_MISMATCH' },
  'no end': { lies: [endless(MANIFESTS)], refused: 'TOO_LARGE' },
  'silence after its head': {
    lies: [hang(MANIFESTS, IMAGE.manifest.size)],
    refused: 'TIMEOUT',
    detail: { milliseconds: 300 },
  },
  'silence instead of a head': { lies: [when(MANIFESTS, () => {})], refused: 'TIMEOUT', detail: { milliseconds: 300 } },
  'a byte every now and then': {
    lies: [drip(MANIFESTS, IMAGE.manifest.size, 50)],
    refused: 'TIMEOUT',
    detail: { milliseconds: 900 },
  },
  'a head that says index': {
    lies: [withType('application/vnd.oci.image.index.v1+json')],
    refused: 'MEDIA_TYPE_MISMATCH',
  },
  'a head that says docker': {
    lies: [withType('application/vnd.docker.distribution.manifest.v2+json')],
    refused: 'MEDIA_TYPE_MISMATCH',
  },
  'a head that says HTML': { lies: [withType('text/html')], refused: 'MEDIA_TYPE_MISMATCH' },
  'a compressed answer that nobody asked for': {
    lies: [manifestLie(IMAGE.manifest.bytes, { 'content-encoding': 'gzip' })],
    refused: 'BAD_RESPONSE',
  },
  'no such manifest': {
    lies: [when(MANIFESTS, (_, response) => answerError(response, 404, 'MANIFEST_UNKNOWN'))],
    refused: 'UNKNOWN_MANIFEST',
  },
  'no such repository': {
    lies: [when(MANIFESTS, (_, response) => answerError(response, 404, 'NAME_UNKNOWN'))],
    refused: 'UNKNOWN_MANIFEST',
  },
  'a refusal': { lies: [when(MANIFESTS, (_, response) => answerError(response, 403, 'DENIED'))], refused: 'DENIED' },
  'a question about logins with no way to answer': {
    lies: [when(MANIFESTS, (_, response) => answerError(response, 401, 'UNAUTHORIZED'))],
    refused: 'BAD_RESPONSE',
  },
  'a status of its own': {
    lies: [when(MANIFESTS, (_, response) => answerError(response, 418, 'TEAPOT', 'red\u001b[31m \u202ealert'))],
    refused: 'BAD_RESPONSE',
    detail: { why: 'it answers 418 (TEAPOT: red [31m alert)' },
  },
  'a status of its own, in HTML': {
    lies: [when(MANIFESTS, (_, response) => response.writeHead(451).end('<h1>no</h1>'))],
    refused: 'BAD_RESPONSE',
    detail: { why: 'it answers 451' },
  },
  'a status of its own, at length': {
    lies: [when(MANIFESTS, (_, response) => response.writeHead(451).end('x'.repeat(200_000)))],
    refused: 'BAD_RESPONSE',
    detail: { why: 'it answers 451' },
  },
  'no such manifest, and breaks off': {
    lies: [
      when(MANIFESTS, (_, response) => {
        response.writeHead(404, { 'content-length': 100 })
        response.write('x', () => response.destroy())
      }),
    ],
    refused: 'UNKNOWN_MANIFEST',
  },
  'a part of the answer': {
    lies: [when(MANIFESTS, (_, response) => response.writeHead(206).end('{'))],
    refused: 'SIZE_MISMATCH',
  },
  'failure, for as long as it is asked': {
    lies: [when(MANIFESTS, (_, response) => answerError(response, 502, 'UNKNOWN'))],
    refused: 'UNAVAILABLE',
    requests: REGISTRY_LIMITS.retries + 1,
  },
  'a broken connection, for as long as it is asked': {
    lies: [when(MANIFESTS, (request) => request.socket.destroy())],
    refused: 'UNREACHABLE',
    requests: REGISTRY_LIMITS.retries + 1,
  },
  'an answer that stops short': {
    lies: [breakAfter(MANIFESTS, IMAGE.manifest, 10, Infinity)],
    refused: 'UNREACHABLE',
    requests: REGISTRY_LIMITS.retries + 1,
  },
  'that it is busy for an hour': {
    lies: [
      when(MANIFESTS, (_, response) => answerError(response.setHeader('retry-after', '3600'), 429, 'TOOMANYREQUESTS')),
    ],
    refused: 'RATE_LIMITED',
    requests: 1,
    detail: { seconds: 3600 },
  },
  'no HTTP': {
    lies: [when(MANIFESTS, (_, response) => response.socket?.end('HTTP/1.1 2OO\r\n\r\n'))],
    refused: 'BAD_RESPONSE',
    requests: 1,
  },
  'a head without end': {
    lies: [when(MANIFESTS, (_, response) => response.setHeader('x-long', 'a'.repeat(200_000)).end())],
    refused: 'BAD_RESPONSE',
    requests: 1,
  },
}

await t.test('a manifest by digest is refused when the registry answers', async (t) => {
  for (const [name, { lies, refused, requests, detail }] of Object.entries(MANIFEST_LIES)) {
    await t.test(name, async (t) => {
      server.lie(...lies)
      await t.rejects(open(t).content(image(), IMAGE.manifest), {
        name: 'RegistryError',
        code: refused,
        ...(detail && { detail }),
      })
      if (requests !== undefined) t.equal(server.asked.length, requests)
    })
  }
})

const TYPES: Record<string, Refusal['lies']> = {
  'with parameters behind the type': [withType(`${OCI}; charset=utf-8`)],
  'with the type in another case': [withType(OCI.toUpperCase())],
  'as text, by a server that does not know what it serves': [withType('text/plain')],
  'as plain JSON': [withType('application/json')],
}

await t.test('a manifest by digest is taken', async (t) => {
  for (const [name, lies] of Object.entries(TYPES)) {
    await t.test(name, async (t) => {
      server.lie(...lies)
      t.match(await open(t).content(image(), IMAGE.manifest), { mediaType: OCI, bytes: IMAGE.manifest.bytes })
    })
  }
  await t.test('up to a length, where the size is not known', async (t) => {
    server.lie()
    const { digest, size } = IMAGE.manifest
    t.match(await open(t).manifest(image(), digest, size), { mediaType: OCI })
    await t.rejects(open(t).manifest(image(), digest, size - 1), { code: 'TOO_LARGE' })
  })
  await t.test('and nothing larger than the limit, whatever its parent says', async (t) => {
    server.lie()
    const registry = open(t, { limits: { manifest: 100 } })
    await t.rejects(registry.content(image(), IMAGE.manifest), { code: 'TOO_LARGE', detail: { limit: 100 } })
    t.equal(server.asked.length, 0)
  })
})

const UNREADABLE: Record<string, readonly [body: string, refused: string, type?: string]> = {
  'docker’s first schema': [
    '{"schemaVersion":1,"fsLayers":[]}',
    'UNSUPPORTED_MANIFEST',
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
  ],
  'docker’s first schema under another type': [`{"schemaVersion":1,"mediaType":"${OCI}"}`, 'UNSUPPORTED_MANIFEST'],
  'an unknown kind of manifest': [
    '{"schemaVersion":2,"mediaType":"application/x+json"}',
    'UNSUPPORTED_MANIFEST',
    'application/x+json',
  ],
  'no type anywhere': ['{"schemaVersion":2}', 'UNSUPPORTED_MANIFEST', 'application/json'],
  'a type that is no text': ['{"schemaVersion":2,"mediaType":1}', 'MALFORMED_MANIFEST'],
  'a web page': ['<!doctype html>', 'MALFORMED_MANIFEST', 'text/html'],
  'one member twice': [`{"schemaVersion":2,"mediaType":"${OCI}","mediaType":"${OCI}"}`, 'MALFORMED_MANIFEST'],
  'a list': ['[]', 'MALFORMED_MANIFEST'],
}

await t.test('a tag is refused when it names', async (t) => {
  for (const [name, [body, refused, type = OCI]] of Object.entries(UNREADABLE)) {
    await t.test(name, async (t) => {
      server.lie(when(/1\.0/, (_request, response) => response.setHeader('content-type', type).end(body)))
      await t.rejects(open(t).resolveTag(image()), { name: 'RegistryError', code: refused })
    })
  }
})

await t.test('what may pass is tried again', async (t) => {
  const failing = (times: number, answer: (response: Parameters<Lie>[1]) => void) =>
    when(MANIFESTS, (_, response) => answer(response), times)
  const PASSING: Record<string, { readonly lie: Lie; readonly waits: readonly number[] }> = {
    'a connection that breaks once': { lie: failing(1, (response) => response.destroy()), waits: [250] },
    'failures, waiting longer each time': {
      lie: failing(3, (response) => answerError(response, 500, 'UNKNOWN')),
      waits: [250, 500, 1000],
    },
    'a request to wait': {
      lie: failing(1, (response) => answerError(response.setHeader('retry-after', '7'), 429, 'X')),
      waits: [7000],
    },
    'a request to wait until a date': {
      lie: failing(1, (response) => {
        response.setHeader('date', 'Fri, 31 Dec 1999 23:59:50 GMT')
        answerError(response.setHeader('retry-after', 'Sat, 01 Jan 2000 00:00:00 GMT'), 503, 'X')
      }),
      waits: [10_000],
    },
    'a request to wait, without saying how long': {
      lie: failing(1, (response) => answerError(response, 429, 'X')),
      waits: [250],
    },
    'a request to wait, in words': {
      lie: failing(1, (response) => answerError(response.setHeader('retry-after', 'a bit'), 503, 'X')),
      waits: [250],
    },
  }
  for (const [name, { lie, waits }] of Object.entries(PASSING)) {
    await t.test(name, async (t) => {
      server.lie(lie)
      const registry = open(t)
      t.match(await registry.resolveTag(image()), { digest: IMAGE.manifest.digest })
      t.same(registry.waits, waits)
    })
  }
})

await t.test('a registry that is not there is said to be so at once', async (t) => {
  const closed = createServer()
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
  const address = closed.address()
  const port = typeof address === 'object' ? address?.port : 0
  await new Promise((resolve) => closed.close(resolve))
  const registry = open(t)
  await t.rejects(registry.resolveTag(parseImage(`127.0.0.1:${port}/a:1`)), {
    code: 'UNREACHABLE',
    detail: { host: `127.0.0.1:${port}`, why: 'nothing listens there' },
    hint: String,
  })
  t.same(registry.waits, [])
})

await t.test('a caller who stops gets their own reason, and nothing is asked again', async (t) => {
  const stop = new AbortController()
  server.lie(when(MANIFESTS, () => stop.abort(new Error('enough'))))
  await t.rejects(open(t).resolveTag(image(), stop.signal), { message: 'enough' })
  t.equal(server.asked.length, 1)
  await t.rejects(open(t).resolveTag(image(), AbortSignal.abort(new Error('never'))), { message: 'never' })
  t.equal(server.asked.length, 1)
})

await t.test('a caller who stops while waiting need not wait', async (t) => {
  const stop = new AbortController()
  server.lie(when(MANIFESTS, (_, response) => answerError(response.setHeader('retry-after', '30'), 429, 'X')))
  const registry = openRegistry({ plainHttp: true })
  t.teardown(() => registry.close())
  const resolved = t.rejects(registry.resolveTag(image(), stop.signal), { message: 'enough' })
  while (server.asked.length === 0) await new Promise(setImmediate)
  setTimeout(() => stop.abort(new Error('enough')), 20)
  await resolved
})

await t.test('text that is neither tag nor digest never gets into a path', async (t) => {
  server.lie()
  const registry = open(t)
  for (const digest of ['../../x', 'sha256:short', IMAGE.manifest.digest.toUpperCase(), 'latest']) {
    await t.rejects(registry.manifest(image(), digest, 100), { code: 'REFERENCE_INVALID' })
    await t.rejects(registry.blob(image(), { digest, size: 1 }), { code: 'REFERENCE_INVALID' })
    await t.rejects(registry.exists(image(), 'blob', { digest, size: 1 }), { code: 'REFERENCE_INVALID' })
  }
  await t.rejects(registry.resolveTag({ ...image(), tag: '../1' }), { code: 'REFERENCE_INVALID' })
  t.equal(server.asked.length, 0)
})

await t.test('a blob', async (t) => {
  const fetched = async (t: Test, wanted: Stored, lies: readonly Lie[], limits: Partial<RegistryLimits> = {}) => {
    server.lie(...lies)
    const chunks: Uint8Array[] = []
    const registry = open(t, { limits })
    await registry.blob(image(), wanted, (chunk) => void chunks.push(new Uint8Array(chunk)))
    return { bytes: Buffer.concat(chunks), registry }
  }
  const [layer] = IMAGE.layers as [Stored]

  await t.test('arrives whole', async (t) => t.ok((await fetched(t, BIG, [])).bytes.equals(BIG.bytes)))
  await t.test('of no bytes arrives', async (t) => {
    const empty = stored('application/octet-stream', new Uint8Array())
    server.put(empty)
    t.equal((await fetched(t, empty, [])).bytes.length, 0)
  })
  await t.test('is hashed without being kept when nobody takes it', async (t) => {
    server.lie()
    await t.resolves(open(t).blob(image(), BIG))
  })
  await t.test('goes on where the connection broke, as the same answer', async (t) => {
    const { bytes } = await fetched(t, BIG, [breakAfter(BLOBS, BIG, 1_000_000, 2)])
    t.ok(bytes.equals(BIG.bytes))
    const ranges = server.asked.map(({ headers }) => headers.range)
    t.equal(ranges[0], undefined)
    t.match(ranges.slice(1), [/^bytes=[1-9]\d+-$/, /^bytes=[1-9]\d+-$/])
    t.match(server.asked[1]?.headers, { 'if-range': `"${BIG.digest}"` })
  })
  await t.test('goes on where the registry knows no ranges, without giving anything twice', async (t) => {
    const whole = when(BLOBS, (_, response) => response.setHeader('content-length', BIG.size).end(BIG.bytes))
    t.ok((await fetched(t, BIG, [breakAfter(BLOBS, BIG, 1_500_000), whole])).bytes.equals(BIG.bytes))
  })
  await t.test('goes on for as long as it makes progress', async (t) => {
    const { bytes, registry } = await fetched(t, BIG, [breakAfter(BLOBS, BIG, 1_048_576 + 65_536, 9)], { retries: 1 })
    t.ok(bytes.equals(BIG.bytes))
    t.same(registry.waits, [250, 250])
  })
  await t.test('does not wait for one that has stopped giving', async (t) => {
    await t.rejects(fetched(t, BIG, [breakAfter(BLOBS, BIG, 10, Infinity)]), { code: 'UNREACHABLE' })
    t.equal(server.asked.length, REGISTRY_LIMITS.retries + 1)
  })

  const rangeLie = (range: string, bytes: Uint8Array) =>
    when(BLOBS, (_, response) => response.writeHead(206, { 'content-range': range }).end(bytes))
  const tail = BIG.bytes.subarray(1_000_000)
  const BLOB_LIES: Record<string, Refusal & { readonly of?: Stored }> = {
    'one byte changed': { lies: [asIf(layer, flipped(layer.bytes))], refused: 'DIGEST_MISMATCH' },
    'another length in its head': {
      lies: [asIf(layer, layer.bytes, { 'content-length': 5 })],
      refused: 'SIZE_MISMATCH',
    },
    'a byte more, in chunks': {
      lies: [asIf(layer, Buffer.concat([layer.bytes, Buffer.from('x')]))],
      refused: 'SIZE_MISMATCH',
    },
    'a byte less, in chunks': { lies: [asIf(layer, layer.bytes.subarray(1))], refused: 'SIZE_MISMATCH' },
    'no end': { lies: [endless(BLOBS)], refused: 'SIZE_MISMATCH' },
    'silence after its head': { lies: [hang(BLOBS, layer.size)], refused: 'TIMEOUT' },
    'a byte every now and then': { lies: [drip(BLOBS, layer.size, 50)], refused: 'TIMEOUT' },
    'a part that nobody asked for': {
      lies: [rangeLie(`bytes 0-${layer.size - 1}/${layer.size}`, layer.bytes)],
      refused: 'BAD_RESPONSE',
    },
    'another part than was asked for': {
      of: BIG,
      lies: [breakAfter(BLOBS, BIG, 1_000_000), rangeLie(`bytes 5-${BIG.size - 1}/${BIG.size}`, tail)],
      refused: 'BAD_RESPONSE',
    },
    'a part of something of another size': {
      of: BIG,
      lies: [breakAfter(BLOBS, BIG, 1_000_000), rangeLie('bytes 1000000-1999999/2000000', tail)],
      refused: 'BAD_RESPONSE',
    },
    'a part without saying which': {
      of: BIG,
      lies: [breakAfter(BLOBS, BIG, 1_000_000), rangeLie('', tail)],
      refused: 'BAD_RESPONSE',
    },
    'the rest of something else': {
      of: BIG,
      lies: [
        breakAfter(BLOBS, BIG, 1_000_000),
        when(BLOBS, (request, response) => {
          const [, from] = /=(\d+)-/.exec(request.headers.range ?? '') ?? []
          const rest = flipped(BIG.bytes.subarray(Number(from)))
          response.writeHead(206, { 'content-range': `bytes ${from}-${BIG.size - 1}/${BIG.size}` }).end(rest)
        }),
      ],
      refused: 'DIGEST_MISMATCH',
    },
    'no such blob': {
      lies: [when(BLOBS, (_, response) => answerError(response, 404, 'BLOB_UNKNOWN'))],
      refused: 'UNKNOWN_BLOB',
    },
    'the manifest in place of the layer': { lies: [asIf(layer, IMAGE.manifest.bytes)], refused: 'SIZE_MISMATCH' },
  }
  for (const [name, { lies, refused, of = layer }] of Object.entries(BLOB_LIES)) {
    await t.test(`is refused when the registry answers ${name}`, async (t) => {
      await t.rejects(fetched(t, of, lies), { name: 'RegistryError', code: refused })
    })
  }
  await t.test('that the registry would send without end is taken no further than its size', async (t) => {
    server.lie(endless(BLOBS))
    let taken = 0
    const sink = (chunk: Uint8Array) => {
      taken += chunk.length
    }
    await t.rejects(open(t).blob(image(), { digest: layer.digest, size: 200_000 }, sink), { code: 'SIZE_MISMATCH' })
    t.ok(taken <= 200_000)
  })
  await t.test('larger than the limit is not asked for', async (t) => {
    await t.rejects(fetched(t, BIG, [], { blob: 1000 }), { code: 'TOO_LARGE' })
    t.equal(server.asked.length, 0)
  })
  await t.test('whose taker fails ends with the taker’s error, and is not asked for again', async (t) => {
    server.lie()
    const sink = () => Promise.reject(new Error('disk full'))
    await t.rejects(open(t).blob(image(), BIG, sink), { message: 'disk full' })
    t.equal(server.asked.length, 1)
  })
})

await t.test('asking whether something exists', async (t) => {
  const [layer] = IMAGE.layers as [Stored]
  const refusing = (status: number) => (request: Parameters<Lie>[0], response: Parameters<Lie>[1]) => {
    if (request.method !== 'HEAD') return false
    answerError(response, status, 'X')
    return true
  }
  await t.test('says yes by HEAD alone', async (t) => {
    server.lie()
    t.equal(await open(t).exists(image(), 'blob', layer), true)
    t.equal(await open(t).exists(image(), 'manifest', IMAGE.manifest), true)
    t.same(
      server.asked.map(({ method }) => method),
      ['HEAD', 'HEAD'],
    )
  })
  await t.test('says no', async (t) => {
    server.lie()
    t.equal(await open(t).exists(image(), 'blob', OTHER.config), false)
  })
  await t.test('refuses another size', async (t) => {
    server.lie()
    await t.rejects(open(t).exists(image(), 'blob', { ...layer, size: 5 }), { code: 'SIZE_MISMATCH' })
  })
  await t.test('takes GET’s word where HEAD gives another size', async (t) => {
    server.lie((request, response) => {
      if (request.method !== 'HEAD') return false
      response.setHeader('content-length', 0).end()
      return true
    })
    t.equal(await open(t).exists(image(), 'blob', layer), true)
  })
  for (const status of [403, 405, 501]) {
    await t.test(`asks by GET where HEAD gets ${status}`, async (t) => {
      server.lie(refusing(status))
      t.equal(await open(t).exists(image(), 'blob', BIG), true)
      t.same(
        server.asked.map(({ method }) => method),
        ['HEAD', 'GET'],
      )
    })
  }
})

await t.test('many requests share connections', async (t) => {
  const sockets = new Set<unknown>()
  server.lie((request) => {
    sockets.add(request.socket)
    return false
  })
  const registry = open(t)
  for (let round = 0; round < 10; round++) {
    await registry.resolveTag(image())
    await registry.resolveTag(image('none'))
    await registry.exists(image(), 'blob', IMAGE.config)
    await registry.blob(image(), IMAGE.config)
  }
  t.equal(sockets.size, 1)
})

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1
  return copy
}
