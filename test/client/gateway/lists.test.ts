/** Tags and referrers, which are hearsay: from a real registry, and from one that lies. */
import t from 'tap'
import { openGatewayLab } from '../../support/gateway-lab.ts'
import type { GatewayLab } from '../../support/gateway-lab.ts'
import { when } from '../../support/hostile-registry.ts'
import { buildImage, entry, json } from '../../support/images.ts'
import type { BuiltImage, Stored } from '../../support/images.ts'
import { pushImage, putBlob, putManifest, startRegistry, whyNoRegistry } from '../../support/registry.ts'
import type { TestRegistry } from '../../support/registry.ts'

const skip = (await whyNoRegistry()) ?? false
const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'

/** Something that is said of an image, as tools attach it. */
function said(of: Stored, artifactType: string, config: Stored, layer: Stored): Stored {
  return json(OCI_MANIFEST, {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType,
    config: entry(config),
    layers: [entry(layer)],
    subject: entry(of),
  })
}

const image = buildImage()
const [layer] = buildImage({ layers: [{ sbom: 'parts' }] }).layers
if (layer === undefined) throw new Error('no layer')
const sbom = said(image.manifest, 'application/spdx+json', image.config, layer)
const other = said(image.manifest, 'application/other', image.config, layer)
const listed = (manifest: Stored, more: object = {}) => ({ ...entry(manifest), ...more })
const SPDX = { artifactType: 'application/spdx+json' }
const index = (...manifests: readonly object[]) =>
  json(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests })

const digestsIn = (bytes: Buffer) =>
  (JSON.parse(bytes.toString()) as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest)

await t.test('a registry of version 2.8', { skip }, async (t) => {
  const registry = await startRegistry()
  t.teardown(registry.stop)
  const name = `${registry.host}/team/app`
  const lab = await openGatewayLab({ name, upstream: registry.host, patience: 60_000, rule: '    tags: all' })
  t.teardown(lab.close)
  await fill(registry, image)
  lab.sign({ '1.0': image.manifest, 'sbom-of-1.0': sbom })

  await t.test('its unsigned tags are listed where the rule says so, and refused all the same', async (t) => {
    const { bytes } = await lab.get(`/v2/${name}/tags/list`)
    const fallback = image.manifest.digest.replace(':', '-')
    t.same(JSON.parse(bytes.toString()), { name, tags: ['1.0', 'sbom-of-1.0', fallback, 'unsigned'] })
    for (const tag of ['unsigned', fallback]) {
      const got = await lab.get(`/v2/${name}/manifests/${tag}`)
      t.same([got.status, got.reason], [403, 'TAG_NOT_SIGNED'], tag)
    }
  })
  await t.test(
    'what it keeps under a tag made of the digest is a list of referrers, as far as it is signed',
    async (t) => {
      const got = await lab.get(`/v2/${name}/referrers/${image.manifest.digest}`)
      t.equal(got.headers.get('content-type'), OCI_INDEX)
      t.same(digestsIn(got.bytes), [sbom.digest])
      t.equal((await lab.get(`/v2/${name}/manifests/${sbom.digest}`)).status, 200, 'which can be had')
      t.equal((await lab.get(`/v2/${name}/manifests/${other.digest}`)).reason, 'DIGEST_NOT_SIGNED')
    },
  )
  await t.test('they are listed by their type', async (t) => {
    const of = async (type: string) =>
      await lab.get(`/v2/${name}/referrers/${image.manifest.digest}?artifactType=${encodeURIComponent(type)}`)
    const found = await of(SPDX.artifactType)
    t.same([digestsIn(found.bytes), found.headers.get('oci-filters-applied')], [[sbom.digest], 'artifactType'])
    t.same(digestsIn((await of('application/other')).bytes), [])
  })
  await t.test('an image that nothing refers to has an empty list', async (t) => {
    const got = await lab.get(`/v2/${name}/referrers/${sbom.digest}`)
    t.same([got.status, digestsIn(got.bytes)], [200, []])
  })
})

await t.test('a registry that lists referrers, and lies', async (t) => {
  const name = 'registry.test/team/app'
  const lab = await openGatewayLab()
  t.teardown(lab.close)
  lab.registry.serve(image)
  lab.registry.put(sbom, other, layer)
  lab.sign({ '1.0': image.manifest, 'sbom-of-1.0': sbom })
  const list = index(
    listed(sbom, SPDX),
    listed(other),
    listed(sbom, { urls: ['http://169.254.169.254/sbom'] }),
    listed(sbom, { data: Buffer.from('evil').toString('base64') }),
    { mediaType: OCI_MANIFEST, digest: 'sha256:short', size: 1 },
    { digest: 7 },
  )
  lab.registry.lie(when(/\/referrers\//, (_request, response) => void response.end(list.bytes)))
  t.same(await entriesOf(lab, name), [listed(sbom, SPDX)], 'only what is signed, and sends nobody elsewhere')
  lab.registry.lie(when(/\/referrers\//, (_request, response) => void response.writeHead(500).end()))
  t.equal((await lab.get(`/v2/${name}/referrers/${image.manifest.digest}`)).status, 503, 'an error is no empty list')
})

async function entriesOf(lab: GatewayLab, name: string): Promise<unknown> {
  const { bytes } = await lab.get(`/v2/${name}/referrers/${image.manifest.digest}`)
  return (JSON.parse(bytes.toString()) as { manifests: unknown }).manifests
}

async function fill(registry: TestRegistry, built: BuiltImage): Promise<void> {
  await pushImage(registry, 'team/app', '1.0', built)
  await pushImage(registry, 'team/app', 'unsigned', buildImage({ layers: [{ un: 'signed' }] }))
  if (layer !== undefined) await putBlob(registry, 'team/app', layer)
  for (const manifest of [sbom, other]) await putManifest(registry, 'team/app', manifest.digest, manifest)
  const fallback = built.manifest.digest.replace(':', '-')
  await putManifest(registry, 'team/app', fallback, index(listed(sbom, SPDX), listed(other)))
}
