/** A registry that lies: about digests, sizes and types, from one question to the next, and below a signed digest. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { parsePlatform } from '../../client/registry/platform.ts'
import { parseImage } from '../../client/registry/reference.ts'
import { openRegistry } from '../../client/registry/registry.ts'
import { walkImage } from '../../client/registry/walk.ts'
import { codeOf, tagseal } from '../support/cli.ts'
import { openLab, REPOSITORY } from '../support/attack-lab.ts'
import { endless, startHostileRegistry, when } from '../support/hostile-registry.ts'
import type { Lie } from '../support/hostile-registry.ts'
import { buildImage, buildIndex, entry, json, stored } from '../support/images.ts'
import type { Stored } from '../support/images.ts'
import type { TargetFile } from '../../tuf/index.ts'

const IMAGE = buildImage()
const EVIL = buildImage({ layers: [{ 'app/run': 'evil\n' }] })
const INDEX = buildIndex()
const server = await startHostileRegistry()
t.teardown(() => server.close())
const name = `${server.host}/team/app`
const targetFor = ({ digest, size }: Stored): TargetFile => {
  const [algorithm = '', hex = ''] = digest.split(':')
  return { length: size, hashes: new Map([[algorithm, hex]]), unknown: new Map() }
}

/** Whatever is asked for under this digest, these bytes come, with headers that say that they are right. */
const instead = (of: Stored, bytes: Uint8Array, headers: Record<string, string | number> = {}): Lie =>
  when(new RegExp(of.digest), (_, response) => {
    response.writeHead(200, { 'content-type': of.mediaType, 'docker-content-digest': of.digest, ...headers }).end(bytes)
  })
const retyped = (type: string): Lie => instead(IMAGE.manifest, IMAGE.manifest.bytes, { 'content-type': type })
const [layer = IMAGE.config] = IMAGE.layers
const [amd64] = INDEX.images
const flipped = (bytes: Uint8Array) => Uint8Array.from(bytes, (byte, i) => (i === 9 ? byte ^ 1 : byte))
const ambiguous = json('application/vnd.oci.image.index.v1+json', {
  schemaVersion: 2,
  config: entry(IMAGE.config),
  layers: [],
  manifests: [],
})
const lied = json(INDEX.index.mediaType, {
  schemaVersion: 2,
  mediaType: INDEX.index.mediaType,
  manifests: [{ ...entry(IMAGE.manifest), platform: { os: 'linux', architecture: 'arm64' } }],
})
const listing = (change: object) =>
  json(INDEX.index.mediaType, {
    schemaVersion: 2,
    mediaType: INDEX.index.mediaType,
    manifests: [{ ...entry(IMAGE.manifest), ...change }],
  })

type Case = {
  readonly top?: Stored
  readonly length?: number
  readonly lies?: readonly Lie[]
  readonly code: string
  readonly platform?: string
}
const CASES: Record<string, Case> = {
  'another manifest under the signed digest': {
    lies: [instead(IMAGE.manifest, EVIL.manifest.bytes)],
    code: 'SIZE_MISMATCH',
  },
  'one bit of the manifest changed': {
    lies: [instead(IMAGE.manifest, flipped(IMAGE.manifest.bytes))],
    code: 'DIGEST_MISMATCH',
  },
  'a manifest that is longer than was signed': {
    lies: [instead(IMAGE.manifest, Buffer.concat([IMAGE.manifest.bytes, Buffer.from(' ')]))],
    code: 'TOO_LARGE',
  },
  'a length header that is not true': {
    lies: [instead(IMAGE.manifest, IMAGE.manifest.bytes, { 'content-length': 10 })],
    code: 'SIZE_MISMATCH',
  },
  'a size that was signed wrongly': { length: 10, code: 'SIZE_MISMATCH' },
  'a manifest without an end': { lies: [endless(/manifests/)], code: 'TOO_LARGE' },
  'a manifest that is called an index': {
    lies: [retyped('application/vnd.oci.image.index.v1+json')],
    code: 'MEDIA_TYPE_MISMATCH',
  },
  'a manifest that is called docker’s': {
    lies: [retyped('application/vnd.docker.distribution.manifest.v2+json')],
    code: 'MEDIA_TYPE_MISMATCH',
  },
  'a document that is manifest and index at once': { top: ambiguous, code: 'MALFORMED_MANIFEST' },
  'a config that was swapped': { lies: [instead(IMAGE.config, EVIL.config.bytes)], code: 'SIZE_MISMATCH' },
  'a layer with one bit changed': { lies: [instead(layer, flipped(layer.bytes))], code: 'DIGEST_MISMATCH' },
  'a layer that is cut short': { lies: [instead(layer, layer.bytes.subarray(0, 20))], code: 'SIZE_MISMATCH' },
  'a layer that is not there': {
    lies: [when(new RegExp(layer.digest), (_, response) => response.writeHead(404).end())],
    code: 'UNKNOWN_BLOB',
  },
  'a child manifest that was swapped under the signed index': {
    top: INDEX.index,
    lies: [instead(amd64?.manifest ?? IMAGE.manifest, IMAGE.manifest.bytes)],
    code: 'DIGEST_MISMATCH',
  },
  'an index that lies about a platform': { top: lied, code: 'PLATFORM_MISMATCH', platform: 'linux/arm64' },
  'a child digest in upper case': {
    top: listing({ digest: IMAGE.manifest.digest.toUpperCase() }),
    code: 'MALFORMED_MANIFEST',
  },
  'a child digest that is cut short': {
    top: listing({ digest: IMAGE.manifest.digest.slice(0, 40) }),
    code: 'MALFORMED_MANIFEST',
  },
  'a child digest of an algorithm that nobody can check': {
    top: listing({ digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' }),
    code: 'MALFORMED_MANIFEST',
  },
  'a child digest in another encoding': {
    top: listing({ digest: `sha256+b64u:${'A'.repeat(43)}` }),
    code: 'MALFORMED_MANIFEST',
  },
  'a child of another size': { top: listing({ size: IMAGE.manifest.size + 1 }), code: 'SIZE_MISMATCH' },
  'a child of less than nothing': { top: listing({ size: -1 }), code: 'MALFORMED_MANIFEST' },
  'a manifest of a kind that cannot be checked': {
    top: json('application/vnd.docker.distribution.manifest.v1+prettyjws', { schemaVersion: 1, fsLayers: [] }),
    code: 'UNSUPPORTED_MANIFEST',
  },
  'an index within itself many times over': { top: nested(6), code: 'TOO_MANY_PARTS' },
}
for (const [what, { top = IMAGE.manifest, length = top.size, lies = [], code, platform }] of Object.entries(CASES)) {
  await t.test(`refuses ${what}`, async (t) => {
    shelve()
    server.put(top)
    server.lie(...lies)
    const registry = open(t)
    const wanted = platform === undefined ? undefined : parsePlatform(platform)
    const options = { deep: true, ...(wanted === undefined ? {} : { platform: wanted }) }
    const walk = walkImage(registry, parseImage(`${name}@${top.digest}`), { digest: top.digest, length }, options)
    await t.rejects(walk, { code })
  })
}

await t.test('a shallow walk believes no HEAD that differs from GET about manifests', async (t) => {
  shelve()
  const lie: Lie = (request, response) => {
    if (request.method !== 'HEAD' || !/manifests/.test(request.url ?? '')) return false
    response.writeHead(200, { 'content-length': 1, 'docker-content-digest': EVIL.manifest.digest }).end()
    return true
  }
  server.lie(lie)
  const { digest, size } = IMAGE.manifest
  const report = await walkImage(open(t), parseImage(`${name}:1.0`), { digest, length: size }, { deep: false })
  t.equal(report.manifests[0]?.digest, digest, 'it hashes what it got')
})
await t.test('what a header says is the digest of a tag is not', async (t) => {
  shelve()
  server.lie(
    when(/1\.0/, (_, response) => {
      const headers = { 'content-type': EVIL.manifest.mediaType, 'docker-content-digest': IMAGE.manifest.digest }
      response.writeHead(200, headers).end(EVIL.manifest.bytes)
    }),
  )
  t.match(await open(t).resolveTag(parseImage(`${name}:1.0`)), { digest: EVIL.manifest.digest })
})

await t.test('a tag that the registry moved, before or between the questions, is what was signed', async (t) => {
  const lab = await openLab({}, name)
  t.teardown(lab.close)
  lab.simulator.sign({ '1.0': targetFor(IMAGE.manifest) })
  shelve()
  server.tag('1.0', EVIL.manifest)
  server.lie()
  const ran = await lab.command('1.0', { args: ['--deep', '--plain-http'] })
  t.equal(ran.code, 0, ran.stderr)
  t.match(JSON.parse(ran.stdout), { images: [{ digest: IMAGE.manifest.digest }] })
  t.notOk(
    server.asked.some(({ path }) => path.endsWith('/1.0')),
    'nobody asked what the tag is now',
  )
})
for (const [what, lies, code] of [
  ['another manifest', [instead(IMAGE.manifest, EVIL.manifest.bytes)], 'SIZE_MISMATCH'],
  ['another layer', [instead(layer, flipped(layer.bytes))], 'DIGEST_MISMATCH'],
] as const) {
  await t.test(`the command line refuses ${what} below the signed digest, and prints none`, async (t) => {
    const lab = await openLab({}, name)
    t.teardown(lab.close)
    lab.simulator.sign({ '1.0': targetFor(IMAGE.manifest) })
    shelve()
    server.lie(...lies)
    const ran = await lab.command('1.0', { args: ['--deep', '--plain-http'] })
    t.same([ran.code, codeOf(ran), /"reference"/.test(ran.stdout)], [1, code, false])
  })
}
await t.test('a digest that was named and is not what was signed is refused', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  const ran = await lab.command(`1.0@${EVIL.manifest.digest}`)
  t.same([ran.code, codeOf(ran)], [1, 'DIGEST_DIFFERS'])
  for (const digest of [
    EVIL.manifest.digest.toUpperCase(),
    EVIL.manifest.digest.slice(0, 30),
    'md5:abc',
    'sha512:abc',
  ]) {
    const odd = await lab.command(`1.0@${digest}`)
    t.same([odd.code, codeOf(odd)], [2, 'REFERENCE_INVALID'], digest)
  }
})
await t.test('an engine is handed the digest alone, and what it then says is held against it', async (t) => {
  const lab = await openLab()
  t.teardown(lab.close)
  lab.simulator.sign({ '1.0': targetFor(IMAGE.manifest) })
  await lab.command()
  const bin = join(lab.folder, 'bin')
  await mkdir(bin)
  const run = async (says: string) => {
    const engine = join(bin, 'podman')
    await writeFile(engine, `#!/bin/sh\necho "$@" >> "${lab.folder}/asked"\necho "${says}"\n`)
    await chmod(engine, 0o755)
    const env = {
      TAGSEAL_HOME: join(lab.folder, 'home'),
      HOME: lab.folder,
      PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    }
    return await tagseal(['pull', `${REPOSITORY}:1.0`, '--engine', 'podman'], { env })
  }
  const evil = await run(`${REPOSITORY}@${EVIL.manifest.digest}`)
  t.same([evil.code, codeOf(evil), evil.stdout], [1, 'DIGEST_DIFFERS', ''], 'the engine has something else')
  const good = await run(`${REPOSITORY}@${IMAGE.manifest.digest}`)
  t.same([good.code, good.stdout], [0, `${REPOSITORY}@${IMAGE.manifest.digest}\n`])
  const pulls = (await readFile(join(lab.folder, 'asked'), 'utf8'))
    .split('\n')
    .filter((line) => line.startsWith('pull'))
  t.ok(
    pulls.every((line) => line.endsWith(`@${IMAGE.manifest.digest}`)),
    pulls.join(),
  )
})

function open(t: Test) {
  const registry = openRegistry({ plainHttp: true, sleep: async () => {}, limits: { idleMs: 1000, requestMs: 3000 } })
  t.teardown(registry.close)
  return registry
}
function shelve(): void {
  server.serve(IMAGE, '1.0')
  server.serve(INDEX)
  server.put(EVIL.manifest, EVIL.config)
}
/** An index in an index in an index. */
function nested(depth: number): Stored {
  const inner = depth === 0 ? INDEX.index : nested(depth - 1)
  server.put(inner)
  const body = { schemaVersion: 2, mediaType: inner.mediaType, manifests: [entry(inner)] }
  return stored(inner.mediaType, Buffer.from(JSON.stringify(body)))
}
