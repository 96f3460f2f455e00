import type { MetadataStore, FileRecord, StoredFile } from '../storage/store.ts'

/** How much of memory a decoded file takes for each byte of its text, roughly: model, payload, the text itself. */
const WEIGHT = 6

/**
 * Files that publishing and re-signing look at, one for each role: who publishes the next one lets go of the one before.
 * What the storage says is current decides, so an entry can be unneeded but never stale. Together with `memo.ts` it
 * keeps their decoded form.
 */
export type WorkCache = {
  readonly load: (repository: string, record: FileRecord) => Promise<Uint8Array>
  readonly keep: (repository: string, file: CachedFile) => void
}
export type CachedFile = Pick<StoredFile, 'role' | 'sha256' | 'bytes'>

export function openWorkCache(metadata: MetadataStore, maxBytes: number): WorkCache {
  const files = new Map<string, CachedFile>()
  let size = 0
  function drop(name: string): void {
    size -= (files.get(name)?.bytes.length ?? 0) * WEIGHT
    files.delete(name)
  }
  /** Last: the map's order is the order of use. */
  function keep(repository: string, file: CachedFile): void {
    const name = nameOf(repository, file)
    drop(name)
    files.set(name, file)
    size += file.bytes.length * WEIGHT
    for (const oldest of files.keys()) {
      if (size <= maxBytes) break
      drop(oldest)
    }
  }
  return {
    keep,
    async load(repository, record) {
      const { role, version, sha256 } = record
      const known = files.get(nameOf(repository, record))
      const file = known?.sha256 === sha256 ? known : await metadata.byVersion(repository, role, version)
      if (file === undefined) throw new RangeError(`${repository}: ${role} ${version} is gone from the storage`)
      keep(repository, file)
      return file.bytes
    },
  }
}

function nameOf(repository: string, { role }: Pick<CachedFile, 'role'>): string {
  return `${repository} ${role}`
}
