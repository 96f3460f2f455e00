import * as fc from 'fast-check'
import t from 'tap'
import { isRegistryError } from '../../../client/registry/errors.ts'
import { REGISTRY_LIMITS } from '../../../client/registry/limits.ts'
import { readConfigPlatform, readManifest, settleMediaType } from '../../../client/registry/manifest.ts'
import { DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from '../../../client/registry/media-types.ts'
import { buildImage, buildIndex, entry, json, stored } from '../../support/images.ts'

const { manifest, config, layers } = buildImage()
const { index, images } = buildIndex()
const LAYER = { ...entry(layers[0] ?? config) }
const read = (value: unknown, mediaType = OCI_MANIFEST) =>
  readManifest(
    'it',
    typeof value === 'string' ? Buffer.from(value) : json(mediaType, value).bytes,
    mediaType,
    REGISTRY_LIMITS,
  )

const IMAGE = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: entry(config), layers: [LAYER] }
const INDEX = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry(manifest)] }
const withLayer = (more: object) => ({ ...IMAGE, layers: [{ ...LAYER, ...more }] })
const withChild = (more: object) => ({ ...INDEX, manifests: [{ ...entry(manifest), ...more }] })
const UNTYPED = { ...IMAGE, mediaType: undefined }
const SMALL = stored('application/vnd.oci.empty.v1+json', Buffer.from('{}'))

await t.test('reads', async (t) => {
  await t.test('an image', async (t) => {
    const image = readManifest('it', manifest.bytes, OCI_MANIFEST, REGISTRY_LIMITS)
    t.match(image, { kind: 'image', config: entry(config), layers: layers.map(entry) })
  })
  await t.test('an index with its platforms', async (t) => {
    const platforms = [
      { os: 'linux', architecture: 'amd64' },
      { os: 'linux', architecture: 'arm64' },
    ]
    const manifests = images.map(({ manifest }, at) => ({ ...entry(manifest), platform: platforms[at] }))
    t.match(readManifest('it', index.bytes, OCI_INDEX, REGISTRY_LIMITS), { kind: 'index', manifests })
  })
  const TAKEN: Record<string, readonly [value: unknown, mediaType?: string]> = {
    'an OCI manifest that does not say what it is': [UNTYPED],
    'docker’s manifest': [{ ...IMAGE, mediaType: DOCKER_MANIFEST }, DOCKER_MANIFEST],
    'docker’s list': [{ ...INDEX, mediaType: DOCKER_LIST }, DOCKER_LIST],
    'an image without layers': [{ ...IMAGE, layers: [] }],
    'an empty index': [{ ...INDEX, manifests: [] }, OCI_INDEX],
    'members that nobody knows, with any numbers': [{ ...IMAGE, 'x.example': { a: 1.5 } }],
    'an artifact': [
      { ...IMAGE, artifactType: 'application/x', subject: entry(manifest), annotations: { A: '1', a: '2' } },
    ],
    'data that is what it says': [
      { ...IMAGE, config: { ...entry(SMALL), data: Buffer.from(SMALL.bytes).toString('base64') } },
    ],
    'a child of a kind that nobody knows': [withChild({ mediaType: 'application/vnd.example.thing+json' }), OCI_INDEX],
    'an attestation': [withChild({ platform: { os: 'unknown', architecture: 'unknown' } }), OCI_INDEX],
    'a null where nothing was meant': [withChild({ platform: null, urls: null, data: null }), OCI_INDEX],
  }
  for (const [name, [value, mediaType]] of Object.entries(TAKEN)) {
    await t.test(name, async (t) => t.doesNotThrow(() => read(value, mediaType)))
  }
})

const LOOK = 'MALFORMED_MANIFEST'
const REFUSED: Record<string, readonly [value: unknown, code: string, mediaType?: string]> = {
  'another schema': [{ ...IMAGE, schemaVersion: 1 }, LOOK],
  'no schema': [{ ...IMAGE, schemaVersion: '2' }, LOOK],
  'an image that is also an index': [{ ...IMAGE, manifests: [] }, LOOK],
  'an index that is also an image': [{ ...INDEX, layers: [] }, LOOK, OCI_INDEX],
  'an index with a config': [{ ...INDEX, config: entry(config) }, LOOK, OCI_INDEX],
  'an image with docker’s first layers': [{ ...IMAGE, fsLayers: [] }, LOOK],
  'an image without a config': [{ ...IMAGE, config: undefined }, LOOK],
  'an image without layers': [{ ...IMAGE, layers: undefined }, LOOK],
  'layers in an object': [{ ...IMAGE, layers: { 0: LAYER } }, LOOK],
  'docker’s manifest that does not say so': [UNTYPED, 'MEDIA_TYPE_MISMATCH', DOCKER_MANIFEST],
  'a layer that is null': [{ ...IMAGE, layers: [null] }, LOOK],
  'a second spelling of layers, which Go would take': [{ ...IMAGE, Layers: [] }, LOOK],
  'a spelling of layers with the long s, which Go would take': [{ ...IMAGE, layerſ: [] }, LOOK],
  'a second spelling of digest': [withLayer({ DIGEST: LAYER.digest }), LOOK],
  'a second spelling of os': [
    withChild({ platform: { os: 'linux', OS: 'windows', architecture: 'amd64' } }),
    LOOK,
    OCI_INDEX,
  ],
  'a layer of another algorithm': [withLayer({ digest: `blake3:${'0'.repeat(64)}` }), LOOK],
  'a layer with its digest in upper case': [withLayer({ digest: LAYER.digest.toUpperCase() }), LOOK],
  'a layer whose digest is a path': [withLayer({ digest: '../../x' }), LOOK],
  'a layer without a digest': [withLayer({ digest: undefined }), LOOK],
  'a layer without a size': [withLayer({ size: undefined }), LOOK],
  'a layer of a negative size': [withLayer({ size: -1 }), LOOK],
  'a layer of half a byte': [withLayer({ size: 0.5 }), LOOK],
  'a layer of a size in text': [withLayer({ size: '5' }), LOOK],
  'a layer of a size that no number can hold': [
    `{"schemaVersion":2,"config":${JSON.stringify(entry(config))},"layers":[{"mediaType":"a/b","digest":"${LAYER.digest}","size":9007199254740993}]}`,
    LOOK,
  ],
  'a layer whose type would end a header': [withLayer({ mediaType: 'a/b\r\nx: y' }), LOOK],
  'a layer without a type': [withLayer({ mediaType: '' }), LOOK],
  'urls that are no list': [withLayer({ urls: 'http://a' }), LOOK],
  'a url that is no text': [withLayer({ urls: [1] }), LOOK],
  'data that is no base64': [withLayer({ data: '{}' }), LOOK],
  'data of another size': [withLayer({ data: 'e30=' }), 'SIZE_MISMATCH'],
  'data of another digest': [
    { ...IMAGE, config: { ...entry(SMALL), data: Buffer.from('[]').toString('base64') } },
    'DIGEST_MISMATCH',
  ],
  'a platform that is a text': [withChild({ platform: 'linux/amd64' }), LOOK, OCI_INDEX],
  'a platform of numbers': [withChild({ platform: { os: 1 } }), LOOK, OCI_INDEX],
  'more children than anyone has': [
    { ...INDEX, manifests: Array.from({ length: 1025 }, () => entry(manifest)) },
    'TOO_MANY_PARTS',
    OCI_INDEX,
  ],
  'more layers than anyone has': [{ ...IMAGE, layers: Array.from({ length: 1025 }, () => LAYER) }, 'TOO_MANY_PARTS'],
  'a type that we cannot read': [IMAGE, 'UNSUPPORTED_MANIFEST', 'application/x+json'],
  'a member twice': [`{"schemaVersion":2,"config":{},"config":${JSON.stringify(entry(config))},"layers":[]}`, LOOK],
}

await t.test('refuses', async (t) => {
  for (const [name, [value, code, mediaType]] of Object.entries(REFUSED)) {
    await t.test(name, async (t) => t.throws(() => read(value, mediaType), { name: 'RegistryError', code }))
  }
})

await t.test('a config says what it was built for', async (t) => {
  t.same(readConfigPlatform('it', config.bytes), { os: 'linux', architecture: 'amd64' })
  t.throws(() => readConfigPlatform('it', Buffer.from('{"os":"linux","Os":"windows"}')), { code: LOOK })
})

await t.test('whatever the bytes are, only a RegistryError comes of them', async (t) => {
  const types = fc.constantFrom(OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
  const names = fc.constantFrom(
    'mediaType',
    'digest',
    'size',
    'config',
    'layers',
    'manifests',
    'platform',
    'urls',
    'data',
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: 'small' }, fc.integer(), fc.string(), fc.constant(LAYER), tie('list'), tie('object')),
    list: fc.array(tie('value'), { maxLength: 3 }),
    object: fc.dictionary(names, tie('value'), { maxKeys: 6 }),
  }))
  fc.assert(
    fc.property(types, fc.dictionary(names, value, { maxKeys: 6 }), fc.boolean(), (mediaType, body, typed) => {
      const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...body, ...(typed ? { mediaType } : {}) }))
      try {
        readManifest('it', bytes, settleMediaType('it', mediaType, bytes), REGISTRY_LIMITS)
        return true
      } catch (error) {
        return isRegistryError(error)
      }
    }),
    { numRuns: 1000 },
  )
  t.pass()
})
