/** What leads where within one repository: from signed digests down to manifests, configs and layers. */
import { RegistryError } from '../registry/errors.ts'
import type { Descriptor } from '../registry/manifest.ts'
import { isManifest } from '../registry/media-types.ts'
import type { Opened } from './manifests.ts'

/** One piece of content, and the digests at the top from which it is reached. */
export type Part = {
  readonly digest: string
  readonly size: number
  manifest: boolean
  blob: boolean
  readonly tops: Set<string>
}

/**
 * Digests never change what they name, so what is learnt here stays true; whether a top still counts is asked each time.
 */
export type Shelf = {
  readonly find: (digest: string) => Part | undefined
  readonly size: () => number
  readonly parts: () => Iterable<Part>
  /** A digest that may be asked for by itself. */
  readonly addTop: (digest: string, size: number) => void
  /** What a manifest names, for every top that leads to it. Throws SIZE_MISMATCH where two say two things of one digest. */
  readonly learn: (manifest: Opened) => void
  readonly knows: (digest: string) => boolean
}

export function openShelf(): Shelf {
  const parts = new Map<string, Part>()
  const children = new Map<string, readonly Descriptor[]>()

  function claim(digest: string, size: number, as: 'manifest' | 'blob' | 'either', tops: Iterable<string>): void {
    const part = parts.get(digest) ?? { digest, size, manifest: false, blob: false, tops: new Set() }
    if (part.size !== size) throw new RegistryError('SIZE_MISMATCH', { what: digest, expected: part.size, got: size })
    parts.set(digest, part)
    part.manifest ||= as !== 'blob'
    part.blob ||= as !== 'manifest'
    const news = [...tops].filter((top) => !part.tops.has(top))
    for (const top of news) part.tops.add(top)
    if (news.length > 0) claimChildren(digest, news)
  }

  function claimChildren(digest: string, tops: readonly string[]): void {
    for (const child of children.get(digest) ?? []) claim(child.digest, child.size, kindOf(child, digest), tops)
  }

  /** Layers are blobs whatever their type says; what an index lists and is no manifest may be kept as either. */
  function kindOf({ mediaType }: Descriptor, parent: string): 'manifest' | 'blob' | 'either' {
    if (indexes.has(parent)) return isManifest(mediaType) ? 'manifest' : 'either'
    return 'blob'
  }

  const indexes = new Set<string>()
  return {
    find: (digest) => parts.get(digest),
    size: () => parts.size,
    parts: () => parts.values(),
    knows: (digest) => children.has(digest),
    addTop: (digest, size) => claim(digest, size, 'manifest', [digest]),
    learn(manifest) {
      const { digest } = manifest
      if (children.has(digest)) return
      if (manifest.kind === 'index') indexes.add(digest)
      children.set(digest, manifest.children)
      claimChildren(digest, [...(parts.get(digest)?.tops ?? [])])
    },
  }
}
