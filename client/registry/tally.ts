import type { Content } from './content.ts'
import { RegistryError } from './errors.ts'

/** The totals grow while the walk finds out what there is. `bytes` are those that were fetched. */
export type WalkProgress = {
  readonly parts: number
  readonly totalParts: number
  readonly bytes: number
  readonly totalBytes: number
}

/** What a walk knows of, and how much of it is done. */
export type Tally = {
  /** Whether this is new. Throws where the same digest was listed with another size: one of the two cannot be. */
  readonly add: (content: Content, fetched: boolean) => boolean
  readonly arrived: (bytes: number) => void
  readonly finished: () => void
  readonly progress: () => WalkProgress
}

export function openTally(what: string, most: number, tell: (progress: WalkProgress) => void = () => {}): Tally {
  const sizes = new Map<string, number>()
  const now = { parts: 0, totalParts: 0, bytes: 0, totalBytes: 0 }
  return {
    add({ digest, size }, fetched) {
      const known = sizes.get(digest)
      if (known === size) return false
      if (known !== undefined) throw new RegistryError('SIZE_MISMATCH', { what: digest, expected: known, got: size })
      if (sizes.size >= most) throw new RegistryError('TOO_MANY_PARTS', { what, of: 'parts', limit: most })
      sizes.set(digest, size)
      now.totalParts++
      if (fetched) now.totalBytes += size
      return true
    },
    arrived(bytes) {
      now.bytes += bytes
      tell({ ...now })
    },
    finished() {
      now.parts++
      tell({ ...now })
    },
    progress: () => ({ ...now }),
  }
}
