import { type Content, nameOf } from './content.ts'
import { isRegistryError, RegistryError } from './errors.ts'
import {
  type Descriptor,
  type ImageManifest,
  type IndexManifest,
  readConfigPlatform,
  readManifest,
} from './manifest.ts'
import { IMAGE_CONFIGS, INDEXES, isManifest } from './media-types.ts'
import { normal, type Platform, pickPlatform, printPlatform } from './platform.ts'
import { openPool, type Pool } from './pool.ts'
import type { RepositoryName } from './reference.ts'
import type { Registry } from './registry.ts'
import { openTally, type Tally, type WalkProgress } from './tally.ts'

/** What a signature names: the digest, the number of bytes and, where it was written down, the type. */
export type WalkTarget = { readonly digest: string; readonly length: number; readonly mediaType?: string }

export type WalkOptions = {
  /** Fetch and hash every config and layer. Without it the registry is only asked whether it has them. */
  readonly deep: boolean
  /** Only the image that an engine on that platform would run. Without it all of them. */
  readonly platform?: Platform
  readonly onProgress?: (progress: WalkProgress) => void
  readonly signal?: AbortSignal
}

export type Part = { readonly digest: string; readonly size: number; readonly mediaType: string }
export type WalkReport = {
  /** Fetched and hashed, always. The first is the target itself. */
  readonly manifests: readonly Part[]
  /** Configs and layers, and what an index lists that is no manifest. Hashed if deep; else said to be there. */
  readonly blobs: readonly Part[]
  /** Layers that the registry does not have because they are to come from elsewhere (`urls`): nobody checked those. */
  readonly foreign: readonly Part[]
  /** How many bytes were fetched. */
  readonly bytes: number
}

/**
 * Goes through an image from its digest down: index, manifests, configs and layers, each by digest and by size.
 * Rejects at the first part that is missing, or not what its parent says.
 *
 * Manifests are read whole even in a shallow walk: what they refer to is only known from there.
 */
export async function walkImage(
  registry: Registry,
  ref: RepositoryName,
  target: WalkTarget,
  options: WalkOptions,
): Promise<WalkReport> {
  const walk = openWalk(registry, ref, target, options)
  const { digest, length: size, mediaType } = target
  visitManifest(walk, { digest, size, ...(mediaType === undefined ? {} : { mediaType }) }, 0)
  await walk.pool.finished
  for (const claim of walk.claims) refuseOtherPlatform(walk, claim)
  if (options.platform !== undefined) refuseNoImage(walk, options.platform)
  const { manifests, blobs, foreign, tally } = walk
  return { manifests, blobs, foreign, bytes: tally.progress().bytes }
}

type Claim = { readonly digest: string; readonly platform: Platform }

type Walk = {
  readonly registry: Registry
  readonly ref: RepositoryName
  readonly what: string
  readonly options: WalkOptions
  readonly pool: Pool
  readonly tally: Tally
  readonly manifests: Part[]
  readonly blobs: Part[]
  readonly foreign: Part[]
  /** Platforms that an index of this walk has, for the error message. */
  readonly offered: Set<string>
  /** What an index says of an image's platform. */
  readonly claims: Claim[]
  /** From an image's digest to its config's, and from there to what the config says. */
  readonly images: Map<string, string>
  readonly built: Map<string, Platform>
}

function openWalk(registry: Registry, ref: RepositoryName, target: WalkTarget, options: WalkOptions): Walk {
  const what = nameOf(ref, target.digest)
  const tally = openTally(what, registry.limits.parts, options.onProgress)
  const pool = openPool(registry.limits.concurrency, options.signal)
  const collected = { manifests: [], blobs: [], foreign: [], claims: [] }
  return {
    registry,
    ref,
    what,
    options,
    pool,
    tally,
    ...collected,
    offered: new Set(),
    images: new Map(),
    built: new Map(),
  }
}

function visitManifest(walk: Walk, content: Content, depth: number): void {
  const { registry, ref, tally, pool } = walk
  const limit = registry.limits.depth
  if (depth > limit) throw new RegistryError('TOO_MANY_PARTS', { what: walk.what, of: 'indexes inside indexes', limit })
  if (!tally.add(content, true)) return
  pool.add(async (signal) => {
    const { bytes, mediaType } = await registry.content(ref, content, signal)
    walk.manifests.push({ digest: content.digest, size: content.size, mediaType })
    tally.arrived(bytes.length)
    tally.finished()
    const manifest = readManifest(nameOf(ref, content.digest), bytes, mediaType, registry.limits)
    if (manifest.kind === 'index') visitIndex(walk, manifest, depth)
    else visitImage(walk, content.digest, manifest)
  })
}

function visitIndex(walk: Walk, { manifests }: IndexManifest, depth: number): void {
  for (const child of wantedOf(manifests, walk.options.platform)) {
    if (isManifest(child.mediaType)) visitManifest(walk, child, depth + 1)
    else visitUnknown(walk, child)
  }
  for (const { digest, platform } of manifests) {
    if (platform === undefined || platform.os === 'unknown' || platform.os === '') continue
    walk.offered.add(printPlatform(normal(platform)))
    walk.claims.push({ digest, platform })
  }
}

/** The one that runs; or, where none is listed for the platform, the indexes in which it may be. */
function wantedOf(manifests: readonly Descriptor[], platform: Platform | undefined): readonly Descriptor[] {
  if (platform === undefined) return manifests
  const picked = pickPlatform(manifests, platform)
  return picked === undefined ? manifests.filter(({ mediaType }) => INDEXES.has(mediaType)) : [picked]
}

function visitImage(walk: Walk, digest: string, { config, layers }: ImageManifest): void {
  walk.images.set(digest, config.digest)
  visitBlob(walk, config, true)
  for (const layer of layers) visitBlob(walk, layer, false)
}

function visitBlob(walk: Walk, blob: Descriptor, isConfig: boolean): void {
  const { registry, ref, options, tally, pool } = walk
  if (!tally.add(blob, options.deep)) return
  pool.add(async (signal) => {
    if (isForeign(blob) && !(await registry.exists(ref, 'blob', blob, signal))) walk.foreign.push(part(blob))
    else {
      if (!options.deep) await refuseAbsent(walk, blob, signal)
      else if (isConfig && isReadable(walk, blob)) await readConfig(walk, blob, signal)
      else await registry.blob(ref, blob, (chunk) => tally.arrived(chunk.length), signal)
      walk.blobs.push(part(blob))
    }
    tally.finished()
  })
}

/** Licences forbade to push some layers, so their manifests say where to get them. We never go there. */
function isForeign({ urls, mediaType }: Descriptor): boolean {
  return urls.length > 0 || mediaType.includes('.foreign.') || mediaType.includes('.nondistributable.')
}

function isReadable({ registry }: Walk, { mediaType, size }: Descriptor): boolean {
  return IMAGE_CONFIGS.has(mediaType) && size <= registry.limits.config
}

async function readConfig(
  { registry, ref, tally, built }: Walk,
  config: Descriptor,
  signal: AbortSignal,
): Promise<void> {
  const chunks: Uint8Array[] = []
  const collect = (chunk: Uint8Array) => {
    chunks.push(new Uint8Array(chunk))
    tally.arrived(chunk.length)
  }
  await registry.blob(ref, config, collect, signal)
  const platform = readConfigPlatform(nameOf(ref, config.digest), Buffer.concat(chunks))
  if (platform !== undefined) built.set(config.digest, platform)
}

async function refuseAbsent({ registry, ref }: Walk, blob: Content, signal: AbortSignal): Promise<void> {
  if (await registry.exists(ref, 'blob', blob, signal)) return
  throw new RegistryError('UNKNOWN_BLOB', { what: nameOf(ref, blob.digest) })
}

/** An index may list anything. Registries keep some of it with the manifests and some with the blobs. */
function visitUnknown(walk: Walk, child: Descriptor): void {
  const { registry, ref, options, tally, pool } = walk
  if (!tally.add(child, options.deep)) return
  pool.add(async (signal) => {
    if (options.deep) tally.arrived(await fetchUnknown(walk, child, signal))
    else if (!(await registry.exists(ref, 'manifest', child, signal))) await refuseAbsent(walk, child, signal)
    walk.blobs.push(part(child))
    tally.finished()
  })
}

async function fetchUnknown({ registry, ref }: Walk, child: Descriptor, signal: AbortSignal): Promise<number> {
  try {
    if (child.size <= registry.limits.manifest) return (await registry.content(ref, child, signal)).bytes.length
  } catch (error) {
    if (!isRegistryError(error) || error.code !== 'UNKNOWN_MANIFEST') throw error
  }
  await registry.blob(ref, child, undefined, signal)
  return child.size
}

function refuseNoImage({ what, images, built, offered, options }: Walk, platform: Platform): void {
  const wanted = printPlatform(normal(platform))
  const [config] = images.values()
  if (config === undefined) {
    throw new RegistryError('PLATFORM_NOT_FOUND', { what, wanted, has: [...offered].join(', ') || 'none' })
  }
  const has = built.get(config)
  if (has === undefined || runs(has, options.platform)) return
  throw new RegistryError('PLATFORM_NOT_FOUND', { what, wanted, has: printPlatform(normal(has)) })
}

/** The index is what engines choose by; an entry that names the wrong platform runs something else than was asked. */
function refuseOtherPlatform({ ref, images, built }: Walk, { digest, platform }: Claim): void {
  const has = built.get(images.get(digest) ?? '')
  if (has === undefined || has.os === '' || sameMachine(normal(has), normal(platform))) return
  const detail = { expected: printPlatform(normal(platform)), got: printPlatform(normal(has)) }
  throw new RegistryError('PLATFORM_MISMATCH', { what: nameOf(ref, digest), ...detail })
}

/** Builders often leave the variant out of the config, and disagree on it where they do not. */
function sameMachine(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture
}

function runs(has: Platform, wanted: Platform | undefined): boolean {
  return wanted === undefined || has.os === '' || pickPlatform([{ platform: has }], wanted) !== undefined
}

function part({ digest, size, mediaType }: Descriptor): Part {
  return { digest, size, mediaType }
}
