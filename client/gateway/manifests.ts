/** Manifests by digest: from memory, from the disk, or from upstream once for all who ask at the same time. */
import { isJsonObject, member } from '../../tuf/model/json.ts'
import { isRegistryError } from '../registry/errors.ts'
import { parseStrictJson } from '../registry/json.ts'
import { REGISTRY_LIMITS } from '../registry/limits.ts'
import { type Descriptor, readManifest } from '../registry/manifest.ts'
import { isManifest, OCI_INDEX, OCI_MANIFEST } from '../registry/media-types.ts'
import { VerdictError } from '../verdict/errors.ts'
import type { Store } from './store.ts'
import type { Place } from './upstreams.ts'

/** `children` are what it names: manifests of an index; config and layers of an image. */
export type Opened = {
  readonly digest: string
  readonly bytes: Uint8Array
  readonly mediaType: string
  readonly kind: 'index' | 'image'
  readonly children: readonly Descriptor[]
}

export type Wanted = {
  readonly digest: string /** undefined where nobody signed how long it is. */
  readonly size: number | undefined
}

export type Manifests = {
  /** Throws where it is not what its digest says, cannot be read, or sends its readers elsewhere. */
  readonly open: (place: Place, wanted: Wanted) => Promise<Opened>
}

const MOST_BYTES = 48 * 1024 * 1024

export function openManifests(store: Store): Manifests {
  /** In the order of their last use. */
  const kept = new Map<string, Opened>()
  const underway = new Map<string, Promise<Opened>>()
  let held = 0

  function keep(opened: Opened): void {
    if (!kept.has(opened.digest)) held += opened.bytes.length
    kept.set(opened.digest, opened)
    for (const [digest, { bytes }] of kept) {
      if (held <= MOST_BYTES) return
      kept.delete(digest)
      held -= bytes.length
    }
  }

  async function find(place: Place, wanted: Wanted): Promise<Opened> {
    const found = (await fromDisk(store, wanted)) ?? (await fetch(place, wanted))
    const opened = read(wanted.digest, found.bytes, found.mediaType)
    keep(opened)
    if (found.fresh) await toDisk(store, opened)
    return opened
  }

  return {
    async open(place, wanted) {
      const known = kept.get(wanted.digest)
      if (known !== undefined) {
        kept.delete(wanted.digest)
        kept.set(wanted.digest, known)
        return known
      }
      // Two repositories may have the same manifest, and one of them may not have it any more.
      const key = `${place.ref.name} ${wanted.digest}`
      const flight = underway.get(key) ?? find(place, wanted).finally(() => underway.delete(key))
      underway.set(key, flight)
      return await flight
    },
  }
}

type Source = { readonly bytes: Uint8Array; readonly mediaType: string | undefined; readonly fresh: boolean }

async function fetch({ registry, ref }: Place, { digest, size }: Wanted): Promise<Source> {
  const most = REGISTRY_LIMITS.manifest
  const got =
    size === undefined ? await registry.manifest(ref, digest, most) : await registry.content(ref, { digest, size })
  return { ...got, fresh: true }
}

/** Its size is not known where nobody signed it; then it is fetched. */
async function fromDisk(store: Store, { digest, size }: Wanted): Promise<Source | undefined> {
  const found = size === undefined ? undefined : await store.open(digest, size)
  if (found === undefined) return undefined
  try {
    return { bytes: await found.handle.readFile(), mediaType: undefined, fresh: false }
  } finally {
    await found.handle.close()
  }
}

/** A disk that is full costs a request the next time. */
async function toDisk(store: Store, { digest, bytes }: Opened): Promise<void> {
  try {
    const incoming = await store.receive(digest, bytes.length)
    if (incoming === undefined) return
    try {
      await incoming.handle.writeFile(bytes)
      await incoming.commit()
    } finally {
      await incoming.close()
    }
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
  }
}

function read(digest: string, bytes: Uint8Array, known: string | undefined): Opened {
  const mediaType = known ?? typeOf(bytes)
  const manifest = readManifest(digest, bytes, mediaType, REGISTRY_LIMITS)
  const children = manifest.kind === 'index' ? manifest.manifests : [manifest.config, ...manifest.layers]
  for (const { digest: what, urls } of children) {
    const [url] = urls
    if (url !== undefined) throw new VerdictError('FOREIGN_CONTENT', { what, url })
  }
  return { digest, bytes, mediaType, kind: manifest.kind, children }
}

/** What is kept has no header. OCI's two kinds may leave their type out, and are told apart by what they must have. */
function typeOf(bytes: Uint8Array): string {
  const root = parse(bytes)
  const type = isJsonObject(root) ? member(root, 'mediaType') : undefined
  if (typeof type === 'string' && isManifest(type)) return type
  return isJsonObject(root) && member(root, 'manifests') !== undefined ? OCI_INDEX : OCI_MANIFEST
}

function parse(bytes: Uint8Array) {
  try {
    return parseStrictJson(bytes)
  } catch (error) {
    if (error instanceof Error && !isRegistryError(error)) return undefined // `readManifest` says what is wrong with it
    throw error
  }
}
