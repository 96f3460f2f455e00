import { isJsonObject, type Json, type JsonObject, member, members } from '../../tuf/model/json.ts'
import { isDigest, refuseOtherBytes } from './digest.ts'
import { printable, RegistryError } from './errors.ts'
import { isList, JsonRefused, parseStrictJson } from './json.ts'
import type { RegistryLimits } from './limits.ts'
import { DOCKER_LIST, DOCKER_MANIFEST, essence, IMAGES, INDEXES, isManifest, isMediaType } from './media-types.ts'
import { type Platform } from './platform.ts'

/** One entry of a manifest: what to fetch, and what it must turn out to be. `size` in bytes. */
export type Descriptor = {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly platform?: Platform
  /** Where else the content is said to be. Nothing is ever fetched from there. */
  readonly urls: readonly string[]
}

export type ImageManifest = {
  readonly kind: 'image'
  readonly mediaType: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}
export type IndexManifest = {
  readonly kind: 'index'
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
}

/**
 * The media type that an answer's header and its body agree on. Where one says an index and the other an image, two
 * clients would see two different things under one digest (CVE-2021-41190); the header is not hashed.
 */
export function settleMediaType(what: string, header: string | undefined, bytes: Uint8Array, listed?: string): string {
  const root = parseRoot(what, bytes)
  const body = bodyType(what, root)
  const claimed = essence(header ?? '')
  const type = isManifest(body) ? body : UNTYPED.has(claimed) ? (listed ?? claimed) : claimed
  if (!isManifest(type))
    throw new RegistryError('UNSUPPORTED_MANIFEST', { what, mediaType: printable(type || 'no type') })
  if (!UNTYPED.has(claimed)) refuseOtherType(what, type, claimed)
  if (body !== '') refuseOtherType(what, type, body)
  if (listed !== undefined) refuseOtherType(what, listed, type)
  return type
}

/** What servers say that do not know what they serve. */
const UNTYPED: ReadonlySet<string> = new Set(['', 'application/json', 'text/plain', 'application/octet-stream'])

function refuseOtherType(what: string, expected: string, got: string): void {
  if (got !== expected) throw new RegistryError('MEDIA_TYPE_MISMATCH', { what, expected, got: printable(got) })
}

/** Docker's old manifests hold no digest of a config, and cannot be checked like the others. */
function bodyType(what: string, root: JsonObject): string {
  const type = member(root, 'mediaType') ?? ''
  if (typeof type !== 'string') throw malformed(what, 'its mediaType is no text')
  if (member(root, 'schemaVersion') === 1 || Object.hasOwn(root, 'fsLayers')) {
    throw new RegistryError('UNSUPPORTED_MANIFEST', { what, mediaType: 'docker schema 1' })
  }
  return type
}

/** Reads a manifest whose digest has been checked, as what `mediaType` says it is and as nothing else. */
export function readManifest(
  what: string,
  bytes: Uint8Array,
  mediaType: string,
  limits: RegistryLimits,
): ImageManifest | IndexManifest {
  const root = parseRoot(what, bytes)
  refuseLookAlikes(what, root, ROOT_NAMES)
  if (member(root, 'schemaVersion') !== 2) throw malformed(what, 'its schemaVersion is not 2')
  if (DOCKER_TYPES.has(mediaType)) refuseOtherType(what, mediaType, bodyType(what, root))
  if (INDEXES.has(mediaType)) return readIndex(what, root, mediaType, limits)
  if (IMAGES.has(mediaType)) return readImage(what, root, mediaType, limits)
  throw new RegistryError('UNSUPPORTED_MANIFEST', { what, mediaType: printable(mediaType) })
}

const DOCKER_TYPES: ReadonlySet<string> = new Set([DOCKER_LIST, DOCKER_MANIFEST])
const ROOT_NAMES = [
  'schemaVersion',
  'mediaType',
  'manifests',
  'config',
  'layers',
  'subject',
  'artifactType',
  'annotations',
]
const DESCRIPTOR_NAMES = ['mediaType', 'digest', 'size', 'urls', 'data', 'platform', 'annotations', 'artifactType']
const PLATFORM_NAMES = ['architecture', 'os', 'os.version', 'os.features', 'variant', 'features']

function readIndex(what: string, root: JsonObject, mediaType: string, limits: RegistryLimits): IndexManifest {
  for (const name of ['config', 'layers', 'fsLayers']) refusePresent(what, root, name, 'an index')
  return { kind: 'index', mediaType, manifests: descriptors(what, root, 'manifests', limits) }
}

function readImage(what: string, root: JsonObject, mediaType: string, limits: RegistryLimits): ImageManifest {
  for (const name of ['manifests', 'fsLayers']) refusePresent(what, root, name, 'an image')
  const config = descriptor(`the config of ${what}`, member(root, 'config'))
  return { kind: 'image', mediaType, config, layers: descriptors(what, root, 'layers', limits) }
}

function refusePresent(what: string, root: JsonObject, name: string, kind: string): void {
  if (Object.hasOwn(root, name)) throw malformed(what, `it claims to be ${kind} and has ${name}`)
}

function descriptors(what: string, root: JsonObject, name: string, limits: RegistryLimits): readonly Descriptor[] {
  const list = member(root, name)
  if (!isList(list)) throw malformed(what, `its ${name} are no list`)
  if (list.length > limits.children) {
    throw new RegistryError('TOO_MANY_PARTS', { what, of: name, limit: limits.children })
  }
  return list.map((entry: Json, at) => descriptor(`${name}[${at}] of ${what}`, entry))
}

function descriptor(what: string, value: Json | undefined): Descriptor {
  if (!isJsonObject(value)) throw malformed(what, 'it is no object')
  refuseLookAlikes(what, value, DESCRIPTOR_NAMES)
  const mediaType = member(value, 'mediaType')
  const digest = member(value, 'digest')
  const size = member(value, 'size')
  if (typeof mediaType !== 'string' || !isMediaType(mediaType)) throw malformed(what, 'its mediaType is none')
  if (typeof digest !== 'string' || !isDigest(digest)) throw malformed(what, 'its digest is none that can be checked')
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw malformed(what, 'its size is none')
  refuseOtherData(what, value, { digest, size })
  const platform = readPlatform(what, member(value, 'platform'))
  return { mediaType, digest, size, urls: readUrls(what, value), ...(platform === undefined ? {} : { platform }) }
}

/** Content may stand in the descriptor itself. Some engines use it instead of fetching, so it has to be the same. */
function refuseOtherData(what: string, value: JsonObject, wanted: { digest: string; size: number }): void {
  const data = member(value, 'data')
  if (data === undefined || data === null) return
  const bytes = typeof data === 'string' ? Buffer.from(data, 'base64') : undefined
  if (bytes === undefined || bytes.toString('base64') !== data) throw malformed(what, 'its data is no base64')
  refuseOtherBytes(`the data of ${what}`, bytes, wanted)
}

function readUrls(what: string, value: JsonObject): readonly string[] {
  const urls = member(value, 'urls') ?? []
  if (!isList(urls)) throw malformed(what, 'its urls are no list')
  return urls.map((url: Json) => {
    if (typeof url !== 'string') throw malformed(what, 'one of its urls is no text')
    return printable(url, 2048)
  })
}

function readPlatform(what: string, value: Json | undefined): Platform | undefined {
  if (value === undefined || value === null) return undefined
  if (!isJsonObject(value)) throw malformed(what, 'its platform is no object')
  refuseLookAlikes(what, value, PLATFORM_NAMES)
  const [os, architecture, variant] = ['os', 'architecture', 'variant'].map((name) => platformWord(what, value, name))
  return { os: os ?? '', architecture: architecture ?? '', ...(variant ? { variant } : {}) }
}

function platformWord(what: string, value: JsonObject, name: string): string {
  const word = member(value, name) ?? ''
  if (typeof word !== 'string' || word.length > 64) throw malformed(what, `the ${name} of its platform is no word`)
  return printable(word)
}

/** What a config says it was built for. */
export function readConfigPlatform(what: string, bytes: Uint8Array): Platform | undefined {
  const root = parseRoot(what, bytes)
  refuseLookAlikes(what, root, PLATFORM_NAMES)
  return readPlatform(what, root)
}

/**
 * Go, which most engines are written in, takes `Layers` for `layers`, and the last of both where there are two.
 * An object that can be read in two ways is refused.
 */
function refuseLookAlikes(what: string, object: JsonObject, names: readonly string[]): void {
  const folded = new Map(names.map((name) => [fold(name), name]))
  for (const [name] of members(object)) {
    const meant = folded.get(fold(name))
    if (meant !== undefined && meant !== name)
      throw malformed(what, `it has ${JSON.stringify(printable(name))} for ${meant}`)
  }
}

/** Upper case after lower: the long s and the Kelvin sign become the letters that Go takes them for. */
function fold(name: string): string {
  return name.toLowerCase().toUpperCase()
}

function parseRoot(what: string, bytes: Uint8Array): JsonObject {
  const root = parse(what, bytes)
  if (!isJsonObject(root)) throw malformed(what, 'it is no JSON object')
  return root
}

function parse(what: string, bytes: Uint8Array): Json {
  try {
    return parseStrictJson(bytes)
  } catch (error) {
    throw error instanceof JsonRefused ? malformed(what, error.message) : error
  }
}

function malformed(what: string, why: string): RegistryError {
  return new RegistryError('MALFORMED_MANIFEST', { what, why })
}
