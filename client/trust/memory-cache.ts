import type { TrustCache } from './cache.ts'

/**
 * Keeps trusted files as long as the process lives. Then nothing remembers what was seen: for programs that stay, and
 * for machines that are thrown away anyway.
 */
export function memoryCache(): TrustCache {
  const files = new Map<string, Uint8Array>()
  let last: Promise<unknown> = Promise.resolve()
  return {
    place: 'memory',
    load: async (name) => copyOf(files.get(name)),
    store: async (name, bytes) => void files.set(name, new Uint8Array(bytes)),
    drop: async (name) => void files.delete(name),
    dropAllBut: async (names) => {
      for (const name of files.keys()) if (name.endsWith('.json') && !names.includes(name)) files.delete(name)
    },
    lock: async (work) => {
      const mine = last.then(work, work)
      last = mine.catch(() => undefined) // a failure belongs to whoever waits for it, not to the next one
      return await mine
    },
  }
}

/** Not `slice`, which for a Buffer is a window on the same bytes. */
function copyOf(bytes: Uint8Array | undefined): Uint8Array | undefined {
  return bytes && new Uint8Array(bytes)
}
