/** What one image says of a digest, or one registry does with it, where another image or repository has it as well. */
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { NAME, openGatewayLab } from '../../support/gateway-lab.ts'
import { answerError, hang, when } from '../../support/hostile-registry.ts'
import { buildImage, entry, json, stored } from '../../support/images.ts'
import type { Stored } from '../../support/images.ts'

const lab = await openGatewayLab()
t.teardown(lab.close)
/** Whatever is in it is anybody's, and needs no signature. */
const OPEN = 'registry.test/open/x'
const { config, manifest } = buildImage()
let made = 0

/** A layer, and an image with nothing else in it. */
function fresh(size = 50_000): { readonly layer: Stored; readonly image: Stored } {
  made += 1
  const layer = stored('application/vnd.oci.image.layer.v1.tar', Buffer.alloc(size, `layer ${made} `))
  lab.registry.put(layer, config)
  return { layer, image: imageOf(layer) }
}

function imageOf(...layers: readonly Pick<Stored, 'mediaType' | 'digest' | 'size'>[]): Stored {
  const { mediaType } = manifest
  const body = { schemaVersion: 2, mediaType, config: entry(config), layers: layers.map((one) => ({ ...one })) }
  const image = json(mediaType, {
    ...body,
    layers: body.layers.map(({ digest, size, mediaType: type }) => ({ mediaType: type, digest, size })),
  })
  lab.registry.put(image)
  return image
}

const blob = async (name: string, { digest }: Stored, method = 'GET') =>
  await lab.get(`/v2/${name}/blobs/${digest}`, { method })
const pull = async (name: string, what: string) => (await lab.get(`/v2/${name}/manifests/${what}`)).status

await t.test('a registry that never gives a layer does not keep it from those who have it elsewhere', async (t) => {
  const { layer, image } = fresh()
  lab.sign({ one: image })
  t.same([await pull(NAME, 'one'), await pull(OPEN, image.digest)], [200, 200])
  lab.registry.lie(hang(/\/open\/x\/blobs\//, layer.size))
  const stuck = blob(OPEN, layer)
  await delay(100)
  const began = performance.now()
  const got = await blob(NAME, layer)
  t.same([got.status, got.bytes.equals(layer.bytes)], [200, true])
  t.ok(performance.now() - began < 900, 'and nobody waits for the one that hangs')
  t.equal((await stuck).status, 503)
})

await t.test(
  'who says another length of a layer neither breaks its download elsewhere nor takes it from the cache',
  async (t) => {
    const { layer, image } = fresh()
    lab.registry.lie()
    lab.sign({ two: image })
    lab.pass(3_600_000)
    const lie = imageOf({ ...layer, size: layer.size - 1 })
    t.same([await pull(NAME, 'two'), await pull(OPEN, lie.digest)], [200, 200])
    const [wrong, right] = await Promise.all([blob(OPEN, layer), blob(NAME, layer)])
    t.same([wrong.status, wrong.reason], [403, 'SIZE_MISMATCH'])
    t.same([right.status, right.bytes.equals(layer.bytes)], [200, true])
    t.equal((await blob(OPEN, layer)).status, 403)
    lab.registry.lie(when(/./, (_request, response) => answerError(response, 500, 'UNKNOWN')))
    t.equal((await blob(NAME, layer)).status, 200, 'it is kept still')
  },
)

const LENGTHS: Record<string, number> = { 'a byte less': -1, 'a byte more': 1, 'nothing at all': -50_000 }
for (const [name, more] of Object.entries(LENGTHS)) {
  for (const order of ['before', 'after'] as const) {
    await t.test(
      `an image that says ${name} of the layer of another, and is asked for ${order} it, takes it from nobody`,
      async (t) => {
        lab.registry.lie()
        const { layer, image } = fresh()
        const lie = imageOf({ ...layer, size: layer.size + more })
        lab.sign({ good: image, dev: lie })
        lab.pass(3_600_000)
        for (const tag of order === 'before' ? ['dev', 'good'] : ['good', 'dev']) t.equal(await pull(NAME, tag), 200)
        for (const digest of [image.digest, lie.digest]) t.equal(await pull(NAME, digest), 200)
        const got = await blob(NAME, layer)
        t.same([got.status, got.bytes.equals(layer.bytes)], [200, true])
        const head = await blob(NAME, layer, 'HEAD')
        t.same([head.status, head.headers.get('content-length')], [200, String(layer.size)])
        t.equal((await blob(NAME, config)).status, 200)
      },
    )
  }
}
