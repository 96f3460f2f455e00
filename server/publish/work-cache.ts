import type { MetadataStore, FileRecord } from '../storage/store.ts'

/** How much of memory a decoded file takes for each byte of its text, roughly: model, payload, the text itself. */
const WEIGHT = 6

/**
 * Files that publishing and re-signing look at, by their sha256: what the storage says is current decides, so an entry
 * can be unneeded but never stale. Together with `memo.ts` it keeps their decoded form.
 */
export type WorkCache = {
  readonly load: (repository: string, record: FileRecord) => Promise<Uint8Array>
  readonly keep: (sha256: string, bytes: Uint8Array) => void
}

export function openWorkCache(metadata: MetadataStore, maxBytes: number): WorkCache {
  const files = new Map<string, Uint8Array>()
  let size = 0
  function keep(sha256: string, bytes: Uint8Array): void {
    if (files.has(sha256)) return
    files.set(sha256, bytes)
    size += bytes.length * WEIGHT
    for (const [oldest, old] of files) {
      if (size <= maxBytes) break
      files.delete(oldest)
      size -= old.length * WEIGHT
    }
  }
  return {
    keep,
    async load(repository, { role, version, sha256 }) {
      const known = files.get(sha256)
      if (known !== undefined) {
        files.delete(sha256) // and last again: the map's order is the order of use
        files.set(sha256, known)
        return known
      }
      const file = await metadata.byVersion(repository, role, version)
      if (file === undefined) throw new RangeError(`${repository}: ${role} ${version} is gone from the storage`)
      keep(sha256, file.bytes)
      return file.bytes
    },
  }
}
