/** What leads where within one repository: from signed digests down to manifests, configs and layers. */
import type { Descriptor } from '../registry/manifest.ts'
import { isManifest } from '../registry/media-types.ts'
import type { Opened } from './manifests.ts'

/** One piece of content as it is listed, and the digests at the top from which it is reached so. */
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
  /** One for each size that it is said to have: nobody who lists it wrongly takes it from those who do not. */
  readonly find: (digest: string) => readonly Part[]
  readonly size: () => number
  readonly parts: () => Iterable<Part>
  /** A digest that may be asked for by itself. */
  readonly addTop: (digest: string, size: number) => void
  /** What a manifest names, for every top that leads to it. */
  readonly learn: (manifest: Opened) => void
  readonly knows: (digest: string) => boolean
}

export function openShelf(): Shelf {
  const parts = new Map<string, Part[]>()
  let count = 0
  const children = new Map<string, readonly Descriptor[]>()

  function claim(digest: string, size: number, as: 'manifest' | 'blob' | 'either', tops: Iterable<string>): void {
    const known = parts.get(digest) ?? []
    parts.set(digest, known)
    const part = known.find((one) => one.size === size) ?? add(known, digest, size)
    part.manifest ||= as !== 'blob'
    part.blob ||= as !== 'manifest'
    const news = [...tops].filter((top) => !part.tops.has(top))
    for (const top of news) part.tops.add(top)
    if (news.length > 0) claimChildren(digest, news)
  }

  function add(known: Part[], digest: string, size: number): Part {
    const part = { digest, size, manifest: false, blob: false, tops: new Set<string>() }
    known.push(part)
    count += 1
    return part
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
    find: (digest) => parts.get(digest) ?? [],
    size: () => count,
    parts: () => [...parts.values()].flat(),
    knows: (digest) => children.has(digest),
    addTop: (digest, size) => claim(digest, size, 'manifest', [digest]),
    learn(manifest) {
      const { digest } = manifest
      if (children.has(digest)) return
      if (manifest.kind === 'index') indexes.add(digest)
      children.set(digest, manifest.children)
      claimChildren(
        digest,
        (parts.get(digest) ?? []).flatMap(({ tops }) => [...tops]),
      )
    },
  }
}
