/** A blob on its way from upstream to the disk, which any number of clients read while it arrives. */
import type { Incoming } from './store.ts'

export type Fill = {
  readonly size: number
  /** Resolves once more than `beyond` bytes may be given out; rejects with what went wrong. */
  readonly more: (beyond: number) => Promise<void>
  /**
   * What may be given out from a position on, as far as it is in memory; undefined: it is on the disk by now, or so many
   * clients have stopped that no more is kept for one.
   */
  readonly hold: (position: number) => Held | undefined
  /** A copy of the same, wherever it is; gives how many bytes that were. */
  readonly read: (buffer: Buffer, position: number) => Promise<number>
  /** Everything is on the disk and right; rejects with what went wrong. */
  readonly finished: Promise<void>
  /** Every reader says when it has done, after which the file is closed. */
  readonly enter: () => void
  readonly leave: () => void
}

/** The bytes stay what they are until they are released. */
export type Held = { readonly bytes: Uint8Array; readonly release: () => void }

/** Hands chunks on and rejects where size or hash turn out wrong, as `Registry.blob` does. */
type Fetch = (sink: (chunk: Uint8Array) => Promise<void>) => Promise<void>

type Piece = { readonly at: number; readonly buffer: Buffer; used: number; holders: number; isLeft: boolean }

/** Given out at once: while the processor still has it at hand, and not one write for each packet. */
export const SHOWN = 256 * 1024
/** One that arrives, one on its way to the disk, and one for those who keep up. */
export const PIECES = 3
/** Kept for clients alone that were sent them and take no more: clients that stop each at another place would keep all. */
const MOST_LEFT = 5

/**
 * Whoever keeps up reads from memory, and whoever does not from the disk: a slow client costs neither memory nor the
 * others their time. Pieces of `most` bytes go to the disk at once. What is left over at the end is given out once the
 * hash over everything is known to be right.
 */
export function openFill(
  { size, most }: { readonly size: number; readonly most: number },
  incoming: Incoming,
  fetch: Fetch,
): Fill {
  const pieces: Piece[] = []
  let [arrived, shown, written, left, right, users] = [0, 0, 0, 0, false, 1]
  let writing: Promise<void> = Promise.resolve()
  let failure: { readonly error: unknown } | undefined
  let waiting: (() => void)[] = []
  const ready = () => (right ? size : shown)
  const wake = () => {
    const woken = waiting
    waiting = []
    for (const go of woken) go()
  }
  const leave = () => {
    users -= 1
    if (users === 0) void incoming.close().catch(() => undefined) // a file that cannot be closed is of no use to anybody
  }

  async function write({ at, buffer, used }: Piece): Promise<void> {
    for (let done = 0; done < used; ) {
      done += (await incoming.handle.write(buffer, done, used - done, at + done)).bytesWritten
    }
    written = at + used
  }

  /** Waits for the disk, so that no more than these pieces are in memory however slow it is. */
  async function next(): Promise<Piece> {
    const full = pieces.at(-1)
    await writing
    if (full !== undefined) writing = write(full)
    writing.catch(() => undefined) // told to whoever waits for it next
    const oldest = pieces.length < PIECES ? undefined : pieces.shift()
    if (oldest !== undefined && oldest.holders > 0) {
      oldest.isLeft = true
      left += 1
    }
    const buffer = oldest?.holders === 0 ? oldest.buffer : Buffer.allocUnsafeSlow(Math.min(most, size))
    const piece = { at: arrived, buffer, used: 0, holders: 0, isLeft: false }
    pieces.push(piece)
    return piece
  }

  const inMemory = (position: number) => pieces.find(({ at, used }) => position >= at && position < at + used)
  const given = ({ at, used, buffer }: Piece, position: number) =>
    buffer.subarray(position - at, Math.min(used, ready() - at))

  function release(piece: Piece): void {
    piece.holders -= 1
    if (piece.isLeft && piece.holders === 0) left -= 1
  }

  async function take(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const last = pieces.at(-1)
      const piece = last !== undefined && last.used < last.buffer.length ? last : await next()
      const part = chunk.subarray(at, at + piece.buffer.length - piece.used)
      piece.buffer.set(part, piece.used)
      piece.used += part.length
      arrived += part.length
      at += part.length
      if (arrived - shown >= SHOWN && arrived < size) {
        shown = arrived
        wake()
      }
    }
  }

  async function run(): Promise<void> {
    try {
      await fetch(take)
      right = true
      wake()
      const last = pieces.at(-1)
      await writing
      if (last !== undefined) await write(last)
      await incoming.commit()
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
    finished,
    enter: () => void (users += 1),
    leave,
    async more(beyond) {
      while (ready() <= beyond) {
        if (failure !== undefined) throw failure.error
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    },
    hold(position) {
      const piece = inMemory(position)
      if (piece === undefined || left >= MOST_LEFT) return undefined
      piece.holders += 1
      return { bytes: given(piece, position), release: () => release(piece) }
    },
    async read(buffer, position) {
      const piece = inMemory(position)
      if (piece !== undefined) return given(piece, position).copy(buffer)
      const most = Math.min(buffer.length, Math.min(written, ready()) - position)
      return (await incoming.handle.read(buffer, 0, most, position)).bytesRead
    },
  }
}
