import { promisify } from 'node:util'
import { gzip as gzipWithCallback } from 'node:zlib'
import { ROOT } from '../../tuf/index.ts'
import { Problem } from '../problem.ts'
import type { AwaitedFile, MetadataStore, StoredFile } from '../storage/store.ts'
import { parseFileName } from './file-name.ts'
import type { WantedFile } from './file-name.ts'

const gzip = promisify(gzipWithCallback)

/** Below this a compressed answer is hardly smaller than its headers. */
const GZIP_FROM = 4 * 1024
/** Below this it is worth the memory to have a file as text as well. */
const TEXT_BELOW = 4 * 1024
/** An entry may take this share of the memory at most, so that one large file does not push out all others. */
const LARGEST_SHARE = 4

/** A file ready to be sent: its bytes are those that were stored. */
export type Served = {
  readonly bytes: Buffer
  /** A character for each byte, of a small file: such text is sent in one piece with the headers in front of it. */
  readonly text: string | undefined
  readonly version: number
  readonly etag: string
  /** When it was stored, as HTTP writes it. */
  readonly lastModified: string
  /** What to say of it from when on, because it expires soon; undefined for what is not to be renewed. */
  readonly warning: { readonly from: number; readonly text: string } | undefined
  /** Named by its version or hash: it will never be another. */
  readonly immutable: boolean
  /** Compressed once, for all readers: a promise for the first of them alone. Undefined where it does not pay. */
  readonly gzip: () => Promise<Compressed> | Compressed | undefined
}
export type Compressed = { readonly bytes: Buffer; readonly etag: string }

/** Where files are looked up. */
export type FileStore = Pick<MetadataStore, 'current' | 'byVersion' | 'byHash' | 'holdingBack'>

export type ServedFiles = {
  /**
   * Undefined where there is no such file. Throws RESTORED for a repository whose files are held back, but to whoever is to
   * publish what was lost.
   */
  readonly get: (repository: string, file: string, toPublish?: boolean) => Promise<Served | undefined>
  /** What is in memory and true now. What it returns must not be kept: it is wrong after the next wait. */
  readonly inMemory: () => (repository: string, file: string) => Served | undefined
  /** From the next request on, what is stored is looked at again. */
  readonly changed: (repository: string) => void
}

type Shelf = { readonly files: Map<string, Served>; size: number }

/**
 * Current and recently asked files in memory, whole repositories going first that were not asked for the longest.
 * A publish drops its repository's shelf before it is acknowledged, so nobody is served what was true before.
 */
export function openServedFiles(metadata: FileStore, maxBytes: number): ServedFiles {
  const shelves = new Map<string, Shelf>()
  let size = 0
  let changes = 0
  const inMemory = (repository: string, file: string) => shelves.get(repository)?.files.get(file)
  return {
    inMemory: () => inMemory,
    get(repository, file, toPublish = false) {
      const known = inMemory(repository, file)
      return known === undefined ? fetch(repository, file, toPublish) : Promise.resolve(known)
    },
    changed(repository) {
      changes += 1
      drop(repository)
    },
  }

  async function fetch(repository: string, file: string, toPublish: boolean): Promise<Served | undefined> {
    const wanted = parseFileName(file)
    if (wanted === undefined) return undefined
    const before = changes
    const stored = await lookUp(metadata, repository, wanted)
    if (stored === undefined) return undefined
    const awaited = await metadata.holdingBack(repository)
    if (awaited.length > 0 && toPublish) return servedOf(stored, wanted, false)
    refuseHeld(repository, awaited)
    const cached = stored.length * LARGEST_SHARE <= maxBytes
    const served = servedOf(stored, wanted, cached)
    // Something changed while we were reading: what we hold may be what was true before.
    if (cached && changes === before) keep(shelfOf(repository), file, served)
    return served
  }

  /** Made for what is there alone: names that somebody thought up would otherwise fill the memory. */
  function shelfOf(repository: string): Shelf {
    const shelf = shelves.get(repository) ?? { files: new Map(), size: 0 }
    shelves.delete(repository)
    shelves.set(repository, shelf)
    return shelf
  }

  function keep(shelf: Shelf, file: string, served: Served): void {
    if (shelf.files.has(file)) return
    const bytes = served.bytes.length + (served.text?.length ?? 0) + 512
    shelf.files.set(file, served)
    shelf.size += bytes
    size += bytes
    for (const oldest of shelves.keys()) {
      if (size <= maxBytes) break
      drop(oldest)
    }
  }

  function drop(repository: string): void {
    size -= shelves.get(repository)?.size ?? 0
    shelves.delete(repository)
  }
}

/** A reader who saw the files that are missing must not be shown less, and one who did not must not be shown either. */
function refuseHeld(repository: string, awaited: readonly AwaitedFile[]): void {
  if (awaited.length === 0) return
  const missing = awaited.map(({ role, version }) => `${role} ${version}`)
  throw new Problem('RESTORED', { reason: `${repository} waits for ${missing.join(', ')}`, missing })
}

async function lookUp(
  metadata: FileStore,
  repository: string,
  { role, version, sha256 }: WantedFile,
): Promise<StoredFile | undefined> {
  if (version !== undefined) return metadata.byVersion(repository, role, version)
  if (sha256 !== undefined) return metadata.byHash(repository, role, sha256)
  return metadata.current(repository, role)
}

function servedOf(stored: StoredFile, { version, sha256 }: WantedFile, cached: boolean): Served {
  const bytes = Buffer.from(stored.bytes.buffer, stored.bytes.byteOffset, stored.bytes.length)
  let compressed: Promise<Compressed> | Compressed | undefined
  return {
    bytes,
    text: cached && bytes.length < TEXT_BELOW ? bytes.toString('latin1') : undefined,
    version: stored.version,
    etag: `"${stored.sha256}"`,
    lastModified: new Date(stored.storedAt).toUTCString(),
    warning: warningOf(stored, version),
    immutable: version !== undefined || sha256 !== undefined,
    gzip() {
      // What is not kept would be compressed for each reader anew, which is a way to keep a server busy.
      if (bytes.length < GZIP_FROM || !cached) return undefined
      compressed ??= gzip(bytes).then((small) => (compressed = { bytes: small, etag: `"${stored.sha256}-gzip"` }))
      return compressed
    },
  }
}

/**
 * As HTTP has it (RFC 7234 5.5, code 299). A fifth of a life is left: of the time between when a file was stored, which is
 * when it was signed or soon after, and its end. Old roots stay as they are for good.
 */
function warningOf({ role, version, expires, storedAt }: StoredFile, asked: number | undefined): Served['warning'] {
  if (role === ROOT && asked !== undefined) return undefined
  const name = /^[\w./-]{1,128}$/.test(role) ? role : 'a delegated role'
  const text = `299 - "${name} ${version} expires at ${new Date(expires).toISOString()}"`
  return { from: expires - (expires - storedAt) / 5, text }
}
