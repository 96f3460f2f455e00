/**
 * Content on disk, by digest. It is a cache: everything in it can be fetched again, nothing in it is believed.
 *
 * A file has its name only once all of its bytes were hashed, so a process that is killed leaves nothing half-written
 * behind. What lies there when it is opened is hashed again, once for each process and each change of the file: its
 * change time is the kernel's, and cannot be set back by whoever writes to it.
 */
import type { FileHandle } from 'node:fs/promises'
import { access, constants, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { randomName } from '../../keys/random.ts'
import { algorithmOf, openDigest } from '../registry/digest.ts'
import { errnoOf } from '../trust/atomic.ts'
import { inWords, makeFolder } from './folder.ts'

export type Kept = { readonly handle: FileHandle; readonly size: number }

export type Incoming = {
  readonly handle: FileHandle
  /** The bytes are all there and have this digest: from now on the file is what its name says. */
  readonly commit: () => Promise<void>
  /** After either: the file goes away unless it was committed. */
  readonly close: () => Promise<void>
}

export type Store = {
  /** Open and checked, or undefined where there is none that is right. The caller closes the handle. */
  readonly open: (digest: string, size: number) => Promise<Kept | undefined>
  /** A place to write to; undefined where there is no room for it beside what is being written already. */
  readonly receive: (digest: string, size: number) => Promise<Incoming | undefined>
  readonly bytes: () => number
  /** Throws IO where nothing can be written any more. */
  readonly probe: () => Promise<void>
}

type Entry = { size: number; checked: string | undefined }

const CHUNK = 1024 * 1024
const MODE = 0o700

/** At most `limit` bytes below `folder`. Removes what earlier processes were writing when they ended. */
export async function openStore(folder: string, limit: number): Promise<Store> {
  const incoming = join(folder, 'incoming')
  await inWords(folder, async () => {
    await makeFolder(resolve(folder))
    await rm(incoming, { recursive: true, force: true })
    await mkdir(incoming, { mode: MODE })
  })
  /** In the order of their last use. */
  const entries = await inWords(folder, () => scan(folder))
  let total = [...entries.values()].reduce((sum, { size }) => sum + size, 0)
  let reserved = 0
  await makeRoom()

  async function makeRoom(): Promise<void> {
    for (const digest of entries.keys()) {
      if (total + reserved <= limit) return
      await drop(digest)
    }
  }

  async function inRoomFor(size: number, openNew: () => Promise<FileHandle>): Promise<FileHandle> {
    try {
      await makeRoom()
      return await openNew()
    } catch (error) {
      reserved -= size
      throw error
    }
  }

  async function drop(digest: string): Promise<void> {
    const entry = entries.get(digest)
    if (entry === undefined) return
    entries.delete(digest)
    total -= entry.size
    await removed(pathOf(folder, digest))
  }

  async function check(digest: string, size: number, handle: FileHandle, entry: Entry): Promise<boolean> {
    const now = await stampOf(handle)
    if (now.size !== size) return false
    if (entry.checked === now.text) return true
    if ((await hashOf(handle, digest)) !== digest) return false
    entry.checked = now.text
    return true
  }

  return {
    bytes: () => total,
    probe: async () => await inWords('the cache', () => access(incoming, constants.W_OK)),
    async open(digest, size) {
      const entry = entries.get(digest)
      if (entry === undefined || entry.size !== size) return undefined // whoever says another size may be wrong
      entries.delete(digest) // and put back behind the others: a Map remembers the order
      entries.set(digest, entry)
      const handle = await openIfThere(pathOf(folder, digest))
      if (handle !== undefined && (await checkOrClose(handle, () => check(digest, size, handle, entry)))) {
        return { handle, size }
      }
      await drop(digest)
      return undefined
    },
    async receive(digest, size) {
      if (reserved + size > limit) return undefined
      reserved += size // before anything is waited for: others ask meanwhile
      const path = join(incoming, randomName())
      const handle = await inRoomFor(size, () => open(path, 'wx+', 0o600))
      let state: 'open' | 'committed' | 'closed' = 'open'
      return {
        handle,
        async commit() {
          const final = pathOf(folder, digest)
          await mkdir(join(final, '..'), { recursive: true, mode: MODE })
          await rename(path, final)
          total += size - (entries.get(digest)?.size ?? 0)
          entries.set(digest, { size, checked: (await stampOf(handle)).text })
          state = 'committed'
        },
        async close() {
          if (state === 'closed') return
          const committed = state === 'committed'
          state = 'closed'
          reserved -= size
          await handle.close()
          if (!committed) await removed(path)
        },
      }
    },
  }
}

function pathOf(folder: string, digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return join(folder, algorithm, hex.slice(0, 2), hex)
}

/** Oldest first. What has no name of ours is not ours, and stays. */
async function scan(folder: string): Promise<Map<string, Entry>> {
  const found: { readonly digest: string; readonly size: number; readonly used: number }[] = []
  for (const algorithm of ['sha256', 'sha512']) {
    for (const start of await namesIn(join(folder, algorithm))) {
      for (const hex of await namesIn(join(folder, algorithm, start))) {
        if (!/^(?:[0-9a-f]{64}|[0-9a-f]{128})$/.test(hex)) continue
        const { size, mtimeMs } = await stat(join(folder, algorithm, start, hex))
        found.push({ digest: `${algorithm}:${hex}`, size, used: mtimeMs })
      }
    }
  }
  const sorted = found.toSorted((a, b) => a.used - b.used)
  return new Map(sorted.map(({ digest, size }) => [digest, { size, checked: undefined }]))
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function checkOrClose(handle: FileHandle, check: () => Promise<boolean>): Promise<boolean> {
  let good = false
  try {
    good = await check()
    return good
  } finally {
    if (!good) await handle.close()
  }
}

async function stampOf(handle: FileHandle): Promise<{ readonly text: string; readonly size: number }> {
  const { ino, size, ctimeNs } = await handle.stat({ bigint: true })
  return { text: `${ino} ${size} ${ctimeNs}`, size: Number(size) }
}

async function hashOf(handle: FileHandle, digest: string): Promise<string> {
  const writer = openDigest(algorithmOf(digest))
  const buffer = Buffer.allocUnsafe(CHUNK)
  for (let at = 0; ; ) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK, at)
    if (bytesRead === 0) return writer.end()
    writer.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
}

async function removed(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}
