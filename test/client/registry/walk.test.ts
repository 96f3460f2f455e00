import t, { type Test } from 'tap'
import type { RegistryLimits } from '../../../client/registry/limits.ts'
import { type Platform, parsePlatform } from '../../../client/registry/platform.ts'
import { parseImage } from '../../../client/registry/reference.ts'
import { openRegistry } from '../../../client/registry/registry.ts'
import type { WalkProgress } from '../../../client/registry/tally.ts'
import { type WalkOptions, type WalkReport, walkImage } from '../../../client/registry/walk.ts'
import { answerError, type Lie, startHostileRegistry, when } from '../../support/hostile-registry.ts'
import {
  type BuiltImage,
  buildImage,
  buildIndex,
  entry,
  everythingOf,
  json,
  type Stored,
  stored,
} from '../../support/images.ts'

const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const INDEX = buildIndex()
const [AMD64, ARM64] = INDEX.images as [BuiltImage, BuiltImage]
const IMAGE = buildImage()
const ALL = new Set(everythingOf(INDEX).map(({ digest }) => digest))

const server = await startHostileRegistry()
t.teardown(() => server.close())
server.serve(INDEX)
server.serve(IMAGE)

type Walked = Partial<WalkOptions> & { readonly limits?: Partial<RegistryLimits>; readonly mediaType?: string }

async function walk(
  t: Test,
  top: Stored,
  { limits = {}, mediaType, ...options }: Walked,
  ...lies: readonly Lie[]
): Promise<WalkReport> {
  server.lie(...lies)
  const registry = openRegistry({ plainHttp: true, sleep: async () => {}, limits: { idleMs: 500, ...limits } })
  t.teardown(() => registry.close())
  const target = { digest: top.digest, length: top.size, ...(mediaType === undefined ? {} : { mediaType }) }
  return walkImage(registry, parseImage(`${server.host}/team/app`), target, { deep: true, ...options })
}

const platform = (text: string): Platform => parsePlatform(text) ?? { os: '', architecture: '' }
const digestsOf = ({ manifests, blobs }: WalkReport) => new Set([...manifests, ...blobs].map(({ digest }) => digest))
const gets = () => server.asked.filter(({ method }) => method === 'GET').length

await t.test('a deep walk', async (t) => {
  await t.test('fetches every part of an index once', async (t) => {
    const report = await walk(t, INDEX.index, { mediaType: INDEX.index.mediaType })
    t.same(digestsOf(report), ALL)
    t.equal(gets(), ALL.size)
    t.equal(report.manifests[0]?.digest, INDEX.index.digest)
    t.equal(
      report.bytes,
      [...new Map(everythingOf(INDEX).map((part) => [part.digest, part.size])).values()].reduce((a, b) => a + b),
    )
  })
  await t.test('goes down to one platform', async (t) => {
    const report = await walk(t, INDEX.index, { platform: platform('linux/arm64') })
    t.same(digestsOf(report), new Set([INDEX.index, ...everythingOf(ARM64)].map(({ digest }) => digest)))
  })
  await t.test('of a single image that fits the platform', async (t) => {
    await t.resolves(walk(t, IMAGE.manifest, { platform: platform('linux/amd64') }))
  })
  await t.test('tells how far it is, and ends where it said it would', async (t) => {
    const told: WalkProgress[] = []
    await walk(t, INDEX.index, { onProgress: (progress) => told.push(progress) })
    const last = told.at(-1)
    t.match(last, { parts: ALL.size, totalParts: ALL.size, bytes: last?.totalBytes })
    t.ok(told.every(({ bytes, totalBytes }) => bytes <= totalBytes))
  })
  await t.test('has no more requests under way than it may', async (t) => {
    let most = 0
    let now = 0
    const counting: Lie = (_request, response) => {
      most = Math.max(most, ++now)
      response.on('close', () => now--)
      return false
    }
    const layers = Array.from({ length: 30 }, (_, at) => ({ file: `${at}` }))
    const image = buildImage({ layers })
    server.serve(image)
    await walk(t, image.manifest, { limits: { concurrency: 3 } }, counting)
    t.ok(most <= 3, `${most} at once`)
  })
})

await t.test('a shallow walk', async (t) => {
  await t.test('fetches manifests, and only asks for the rest', async (t) => {
    const report = await walk(t, INDEX.index, { deep: false })
    t.same(digestsOf(report), ALL)
    t.equal(gets(), 3)
  })
  for (const part of [AMD64.config, AMD64.layers[0] as Stored, ARM64.layers[1] as Stored]) {
    await t.test(`refuses an image that lacks its ${part.mediaType}`, async (t) => {
      const gone = when(new RegExp(part.digest), (_, response) => answerError(response, 404, 'BLOB_UNKNOWN'))
      await t.rejects(walk(t, INDEX.index, { deep: false }, gone), { name: 'RegistryError', code: 'UNKNOWN_BLOB' })
    })
  }
  await t.test('refuses an index that lacks one of its images', async (t) => {
    const gone = when(new RegExp(ARM64.manifest.digest), (_, response) =>
      answerError(response, 404, 'MANIFEST_UNKNOWN'),
    )
    await t.rejects(walk(t, INDEX.index, { deep: false }, gone), { code: 'UNKNOWN_MANIFEST' })
  })
  await t.test('refuses a layer of another size than its manifest says', async (t) => {
    const [layer] = AMD64.layers as [Stored]
    const lie = when(new RegExp(layer.digest), (_, response) =>
      response.setHeader('content-length', layer.size + 1).end(),
    )
    await t.rejects(walk(t, INDEX.index, { deep: false }, lie), { code: 'SIZE_MISMATCH' })
  })
})

await t.test(
  'the chain from the signed digest down holds: a deep walk is refused when the registry changes',
  async (t) => {
    for (const [name, part] of Object.entries({
      'the index': INDEX.index,
      'the image of a platform': ARM64.manifest,
      'its config': ARM64.config,
      'its layer': ARM64.layers[1] as Stored,
      'a layer that both images share': AMD64.layers[0] as Stored,
    })) {
      await t.test(name, async (t) => {
        const changed = Uint8Array.from(part.bytes)
        changed[20] = (changed[20] ?? 0) ^ 1
        const lie = when(new RegExp(part.digest), (_, response) =>
          response.setHeader('content-type', part.mediaType).end(changed),
        )
        await t.rejects(walk(t, INDEX.index, {}, lie), { name: 'RegistryError', code: 'DIGEST_MISMATCH' })
      })
    }
    await t.test('one image for another', async (t) => {
      const lie = when(new RegExp(ARM64.manifest.digest), (_, response) => {
        response.setHeader('content-type', AMD64.manifest.mediaType).end(AMD64.manifest.bytes)
      })
      await t.rejects(walk(t, INDEX.index, {}, lie), { code: 'DIGEST_MISMATCH' })
    })
    await t.test('the length that was signed', async (t) => {
      const registry = openRegistry({ plainHttp: true })
      t.teardown(() => registry.close())
      server.lie()
      const target = { digest: INDEX.index.digest, length: INDEX.index.size + 1 }
      await t.rejects(walkImage(registry, parseImage(`${server.host}/a`), target, { deep: true }), {
        code: 'SIZE_MISMATCH',
      })
    })
    await t.test('the type that was signed', async (t) => {
      const mediaType = 'application/vnd.docker.distribution.manifest.list.v2+json'
      await t.rejects(walk(t, INDEX.index, { mediaType }), { code: 'MEDIA_TYPE_MISMATCH' })
    })
  },
)

const indexOf = (...manifests: readonly object[]) =>
  json(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests })
const THING = stored('application/vnd.example.thing+json', Buffer.from('{"a":1.5}'))
const FOREIGN = {
  mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  urls: ['https://10.0.0.1/layer'],
}
const withForeign = (present: boolean) => {
  const layer = stored(FOREIGN.mediaType, Buffer.from(`windows ${present}`))
  if (present) server.put(layer)
  const { mediaType } = IMAGE.manifest
  const body = { schemaVersion: 2, mediaType, config: entry(IMAGE.config), layers: [{ ...entry(layer), ...FOREIGN }] }
  return { layer, manifest: json(mediaType, body) }
}

await t.test('an index', async (t) => {
  const put = (top: Stored, ...more: readonly Stored[]) => {
    server.put(top, ...more)
    return top
  }
  await t.test('may list what nobody knows, with the manifests', async (t) => {
    const top = put(indexOf(entry(IMAGE.manifest), entry(THING)), THING)
    for (const deep of [true, false]) t.ok(digestsOf(await walk(t, top, { deep })).has(THING.digest))
  })
  await t.test('may list what nobody knows, with the blobs', async (t) => {
    const onlyBlob = when(/manifests.*/, (_, response) => answerError(response, 404, 'MANIFEST_UNKNOWN'))
    const top = put(indexOf(entry(THING)), THING)
    const lie: Lie = (request, ...rest) => (request.url?.includes(THING.digest) ?? false) && onlyBlob(request, ...rest)
    for (const deep of [true, false]) t.ok(digestsOf(await walk(t, top, { deep }, lie)).has(THING.digest))
  })
  await t.test('may not list what is nowhere', async (t) => {
    const top = put(indexOf(entry(stored('application/x', Buffer.from('gone')))))
    for (const deep of [true, false]) await t.rejects(walk(t, top, { deep }), { code: 'UNKNOWN_BLOB' })
  })
  await t.test('may have attestations, which run nowhere', async (t) => {
    const unknown = { os: 'unknown', architecture: 'unknown' }
    const listed = { ...entry(AMD64.manifest), platform: { os: 'linux', architecture: 'amd64' } }
    const top = put(indexOf({ ...entry(IMAGE.manifest), platform: unknown }, listed))
    t.equal((await walk(t, top, {})).manifests.length, 3)
    t.equal((await walk(t, top, { platform: platform('linux/amd64') })).manifests.length, 2)
  })
  await t.test('may lie in an index', async (t) => {
    const top = put(indexOf(entry(INDEX.index)))
    t.equal((await walk(t, top, {})).manifests.length, 4)
    t.equal((await walk(t, top, { platform: platform('linux/arm64') })).manifests.length, 3)
  })
  await t.test('may not lie deeper than anyone needs', async (t) => {
    let top: Stored = INDEX.index
    for (let depth = 0; depth < 5; depth++) top = put(indexOf(entry(top)))
    await t.rejects(walk(t, top, {}), { code: 'TOO_MANY_PARTS' })
  })
  await t.test('may not have more parts than anyone needs', async (t) => {
    await t.rejects(walk(t, INDEX.index, { limits: { parts: 5 } }), { code: 'TOO_MANY_PARTS', detail: { limit: 5 } })
  })
  await t.test('may list one image twice', async (t) => {
    t.equal((await walk(t, put(indexOf(entry(IMAGE.manifest), entry(IMAGE.manifest))), {})).manifests.length, 2)
  })
  await t.test('may not list one image with two sizes', async (t) => {
    const top = put(indexOf(entry(IMAGE.manifest), { ...entry(IMAGE.manifest), size: 5 }))
    await t.rejects(walk(t, top, {}), { code: 'SIZE_MISMATCH' })
  })
  await t.test('may not list an image as another type', async (t) => {
    const top = put(indexOf({ ...entry(IMAGE.manifest), mediaType: OCI_INDEX }))
    await t.rejects(walk(t, top, {}), { code: 'MEDIA_TYPE_MISMATCH' })
  })
  await t.test('may not list an image for a platform that it was not built for', async (t) => {
    const top = put(indexOf({ ...entry(AMD64.manifest), platform: { os: 'linux', architecture: 'arm64' } }))
    const detail = { expected: 'linux/arm64', got: 'linux/amd64' }
    await t.rejects(walk(t, top, {}), { code: 'PLATFORM_MISMATCH', detail })
    await t.rejects(walk(t, top, { platform: platform('linux/arm64') }), { code: 'PLATFORM_MISMATCH' })
    await t.resolves(walk(t, top, { deep: false }), 'which takes its config to find out')
  })
  await t.test('may not list one image for two platforms', async (t) => {
    const on = (architecture: string) => ({ ...entry(AMD64.manifest), platform: { os: 'linux', architecture } })
    await t.rejects(walk(t, put(indexOf(on('amd64'), on('s390x'))), {}), { code: 'PLATFORM_MISMATCH' })
  })
  await t.test('says what it has when it lacks the platform', async (t) => {
    const detail = { wanted: 'linux/s390x', has: 'linux/amd64, linux/arm64' }
    await t.rejects(walk(t, INDEX.index, { platform: platform('linux/s390x') }), { code: 'PLATFORM_NOT_FOUND', detail })
  })
})

await t.test('a single image of another platform is not what was wanted', async (t) => {
  const detail = { wanted: 'linux/arm64', has: 'linux/amd64' }
  await t.rejects(walk(t, IMAGE.manifest, { platform: platform('linux/arm64') }), {
    code: 'PLATFORM_NOT_FOUND',
    detail,
  })
})

await t.test('a layer that is to come from elsewhere', async (t) => {
  await t.test('is reported, and never fetched from there', async (t) => {
    const { layer, manifest } = withForeign(false)
    server.put(manifest)
    for (const deep of [true, false]) {
      const report = await walk(t, manifest, { deep })
      t.match(report.foreign, [{ digest: layer.digest }])
      t.notOk(digestsOf(report).has(layer.digest))
    }
  })
  await t.test('is checked like any other where the registry has it', async (t) => {
    const { layer, manifest } = withForeign(true)
    server.put(manifest)
    const report = await walk(t, manifest, {})
    t.ok(digestsOf(report).has(layer.digest))
    t.same(report.foreign, [])
  })
})

await t.test('the first failure stops everything that is under way', async (t) => {
  const image = buildImage({ layers: Array.from({ length: 20 }, (_, at) => ({ file: `stop ${at}` })) })
  server.serve(image)
  const [first] = image.layers as [Stored]
  const lie: Lie = (request, response) => {
    if (!request.url?.includes('/blobs/')) return false
    if (request.url.includes(first.digest)) answerError(response, 403, 'DENIED')
    return true // and all the others never answer
  }
  const started = performance.now()
  await t.rejects(walk(t, image.manifest, { limits: { idleMs: 20_000 } }, lie), { code: 'DENIED' })
  t.ok(performance.now() - started < 5000)
  t.ok(server.asked.length <= 6, 'and nothing new is asked')
})

await t.test('a caller who stops gets their own reason', async (t) => {
  const stop = new AbortController()
  const lie = when(/blobs/, () => stop.abort(new Error('enough')))
  await t.rejects(walk(t, IMAGE.manifest, { signal: stop.signal }, lie), { message: 'enough' })
})
