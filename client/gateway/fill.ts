/** A blob on its way from upstream to the disk, which any number of clients read while it arrives. */
import type { Incoming } from './store.ts'

export type Fill = {
  readonly size: number
  /** How many bytes may be given out: all but the last one until the hash over all of them is known to be right. */
  readonly ready: () => number
  /** Resolves once more than `beyond` bytes are ready; rejects with what went wrong. */
  readonly more: (beyond: number) => Promise<void>
  readonly read: (buffer: Buffer, length: number, position: number) => Promise<number>
  /** Everything is there and right; rejects with what went wrong. */
  readonly finished: Promise<void>
  /** Every reader says when it has done, after which the file is closed. */
  readonly enter: () => void
  readonly leave: () => void
}

/** Hands chunks on and rejects where size or hash turn out wrong, as `Registry.blob` does. */
type Fetch = (sink: (chunk: Uint8Array) => Promise<void>) => Promise<void>

/** Written at once, so that a large blob does not cost a trip to another thread for each packet. */
const BATCH = 512 * 1024

export function openFill(size: number, incoming: Incoming, fetch: Fetch): Fill {
  let [written, right, users] = [0, false, 1]
  let failure: { readonly error: unknown } | undefined
  let waiting: (() => void)[] = []
  const ready = () => (right ? size : Math.min(written, size - 1))
  const wake = () => {
    const woken = waiting
    waiting = []
    for (const go of woken) go()
  }
  const leave = () => {
    users -= 1
    if (users === 0) void incoming.close().catch(() => undefined) // a file that cannot be closed is of no use to anybody
  }

  async function run(): Promise<void> {
    const batch: Uint8Array[] = []
    let held = 0
    const flush = async () => {
      if (held === 0) return
      await incoming.handle.writev(batch.splice(0), written)
      written += held
      held = 0
      wake()
    }
    try {
      await fetch(async (chunk) => {
        batch.push(chunk)
        held += chunk.length
        if (held >= BATCH) await flush()
      })
      await flush()
      await incoming.commit()
      right = true
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      wake()
      leave()
    }
  }

  const finished = run()
  finished.catch(() => undefined) // told to whoever reads
  return {
    size,
    ready,
    finished,
    enter: () => void (users += 1),
    leave,
    async more(beyond) {
      while (ready() <= beyond) {
        if (failure !== undefined) throw failure.error
        if (right) return
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    },
    async read(buffer, length, position) {
      return (await incoming.handle.read(buffer, 0, Math.min(length, ready() - position), position)).bytesRead
    },
  }
}
