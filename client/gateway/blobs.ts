/** Blobs to clients: from the disk, or through it from upstream, or past it where they are too large to be kept. */
import type { ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { isRegistryError } from '../registry/errors.ts'
import { errnoOf } from '../trust/atomic.ts'
import { openFill, PIECES } from './fill.ts'
import type { Fill, Held } from './fill.ts'
import { pour, refuseToNobody, send } from './pour.ts'
import { readRange } from './range.ts'
import type { Range } from './range.ts'
import type { Incoming, Kept, Store } from './store.ts'
import type { Place } from './upstreams.ts'

export type Blob = { readonly digest: string; readonly size: number }
/** One for each size, and never none. */
export type Said<B extends Blob> = readonly [B, ...B[]]
export type Transfer = {
  readonly place: Place
  readonly blob: Blob
  readonly range: string | undefined
  readonly response: ServerResponse
}

export type Blobs = {
  /** The one of several sizes that a blob is said to have which is its own, as far as one can know before it is hashed. */
  readonly settle: (place: Place, said: Said<Blob>) => Promise<Blob>
  /** Answers the request, or throws before anything of an answer was sent. Gives where the bytes came from. */
  readonly send: (transfer: Transfer) => Promise<'cache' | 'upstream'>
}

/** Read from the disk or written to it at once: a trip to another thread costs as much as passing on 200 KiB (ADR 0044). */
const LARGE = 1024 * 1024
const MEDIUM = 256 * 1024
/** What the disk still bears. */
const SMALL = 16 * 1024
/** So many answers have large pieces each; not over TLS, where a piece is encrypted before any of it is sent. */
const FEW = 6
/** What the buffers of all further answers take together, until each has the smallest; and those of all fills, likewise. */
const MOST_BUFFERED = 16 * 1024 * 1024

/** A disk that was full in the middle of a blob is not tried again for a while: whoever asks again gets it past the disk. */
const DISK_AGAIN_MS = 30_000

export function openBlobs(store: Store, monotonic: () => number): Blobs {
  const fills = new Map<string, Promise<Fill | undefined>>()
  let diskAgain = Number.NEGATIVE_INFINITY
  let answers = 0

  /** For one more answer: whoever opens a thousand connections and reads from none gets a thousand small ones. */
  function pieceSize({ socket }: ServerResponse): number {
    return answers <= FEW && !(socket instanceof TLSSocket)
      ? LARGE
      : within(SMALL, MOST_BUFFERED / (2 * answers), MEDIUM)
  }

  /**
   * One fetch for all who ask one repository at once; who asks another one must not wait for a registry that is not theirs,
   * nor be refused for a size that somebody else gave. undefined: it is not to be kept.
   */
  function fillFor(place: Place, blob: Blob): Promise<Fill | undefined> {
    const key = [place.ref.registry, place.ref.repository, blob.digest, blob.size].join(' ')
    const known = fills.get(key)
    if (known !== undefined) return known
    if (monotonic() < diskAgain) return Promise.resolve(undefined)
    const most = within(MEDIUM, MOST_BUFFERED / (PIECES * (fills.size + 1)), LARGE)
    const started = start(store, { place, blob }, most)
    fills.set(key, started)
    const forget = (error?: unknown) => {
      fills.delete(key)
      if (errnoOf(error) !== undefined) diskAgain = monotonic() + DISK_AGAIN_MS
    }
    started.then((fill) => (fill === undefined ? forget() : void fill.finished.then(() => forget(), forget)), forget)
    return started
  }

  async function kept(response: ServerResponse, blob: Blob, found: Kept, range: Range | undefined): Promise<'cache'> {
    const { handle, size } = found
    try {
      writeHead(response, blob, range)
      const read = async (buffer: Buffer, at: number) => (await handle.read(buffer, 0, buffer.length, at)).bytesRead
      const [start, end] = [range?.start ?? 0, range === undefined ? size : range.end + 1]
      await pour(response, read, { start, end, piece: pieceSize(response) })
      response.end()
    } finally {
      await handle.close()
    }
    return 'cache'
  }

  return {
    async settle(place, said) {
      const [first, ...others] = said
      if (others.length === 0) return first
      for (const blob of said) {
        const found = await store.open(blob.digest, blob.size)
        await found?.handle.close()
        if (found !== undefined) return blob
      }
      return await askedFor(place, first, others)
    },
    async send(transfer) {
      answers += 1
      try {
        return await sendOne(transfer)
      } finally {
        answers -= 1
      }
    },
  }

  async function sendOne({ place, blob, range: header, response }: Transfer): Promise<'cache' | 'upstream'> {
    const range = readRange(header, blob.size)
    const found = await store.open(blob.digest, blob.size)
    if (found !== undefined) return await kept(response, blob, found, range)
    const fill = await fillFor(place, blob)
    if (fill === undefined) return await sendPast(place, blob, response)
    if (range === undefined && blob.size > 0) return await sendAlong(fill, blob, response, pieceSize(response))
    await fill.finished // a part cannot be checked by itself
    const whole = await store.open(blob.digest, blob.size)
    return whole === undefined ? await sendPast(place, blob, response) : await kept(response, blob, whole, range)
  }
}

function within(least: number, wanted: number, most: number): number {
  return Math.min(Math.max(Math.floor(wanted), least), most)
}

/** The registry is believed in this as far as it could refuse the blob anyway. */
async function askedFor({ registry, ref }: Place, first: Blob, others: readonly Blob[]): Promise<Blob> {
  try {
    await registry.exists(ref, 'blob', first)
  } catch (error) {
    const isOther = isRegistryError(error) && error.code === 'SIZE_MISMATCH'
    const right = isOther ? others.find(({ size }) => size === error.detail.got) : undefined
    if (right === undefined) throw error
    return right
  }
  return first // what it does not have, it says when it is asked for it
}

/** A disk that is full or gone must not keep a signed image from whoever needs it. */
async function start(
  store: Store,
  { place: { registry, ref }, blob }: Pick<Transfer, 'place' | 'blob'>,
  most: number,
): Promise<Fill | undefined> {
  let incoming: Incoming | undefined
  try {
    incoming = await store.receive(blob.digest, blob.size)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
  if (incoming === undefined) return undefined
  return openFill({ size: blob.size, most }, incoming, (sink) => registry.blob(ref, blob, sink))
}

/** While it arrives. The last byte goes out once the hash is right; else the connection ends without it. */
async function sendAlong(fill: Fill, blob: Blob, response: ServerResponse, piece: number): Promise<'upstream'> {
  fill.enter()
  try {
    await fill.more(0) // what upstream refuses is refused in words, before there is an answer
    writeHead(response, blob, undefined)
    let behind: Buffer | undefined
    for (let at = 0; at < blob.size; refuseToNobody(response)) {
      await fill.more(at)
      const held = fill.hold(at)
      at +=
        held === undefined
          ? await sendRead(fill, at, response, (behind ??= Buffer.allocUnsafeSlow(piece)))
          : await sendHeld(held, response)
    }
    response.end()
  } finally {
    fill.leave()
  }
  return 'upstream'
}

async function sendHeld({ bytes, release }: Held, response: ServerResponse): Promise<number> {
  await send(response, bytes)
  release()
  return bytes.length
}

/** For a client that has fallen behind what is kept in memory. */
async function sendRead(fill: Fill, at: number, response: ServerResponse, buffer: Buffer): Promise<number> {
  const length = await fill.read(buffer, at)
  if (length === 0) throw new Error('the file became shorter while it was written')
  await send(response, buffer.subarray(0, length))
  return length
}

/** Without the disk, for this one client. */
async function sendPast({ registry, ref }: Place, blob: Blob, response: ServerResponse): Promise<'upstream'> {
  let sent = 0
  let last: Uint8Array = new Uint8Array()
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('the client left')))
  const take = async (chunk: Uint8Array) => {
    if (!response.headersSent) writeHead(response, blob, undefined)
    sent += chunk.length
    const end = sent === blob.size ? chunk.length - 1 : chunk.length
    last = new Uint8Array(chunk.subarray(end))
    await send(response, chunk.subarray(0, end))
  }
  await registry.blob(ref, blob, take, gone.signal)
  if (!response.headersSent) writeHead(response, blob, undefined)
  response.end(last)
  return 'upstream'
}

export function writeHead(response: ServerResponse, { digest, size }: Blob, range: Range | undefined): void {
  response.setHeader('content-type', 'application/octet-stream')
  response.setHeader('docker-content-digest', digest)
  response.setHeader('etag', `"${digest}"`)
  response.setHeader('accept-ranges', 'bytes')
  response.setHeader('cache-control', 'private, max-age=31536000, immutable')
  response.setHeader('content-length', range === undefined ? size : range.end - range.start + 1)
  if (range !== undefined) response.setHeader('content-range', `bytes ${range.start}-${range.end}/${size}`)
  response.writeHead(range === undefined ? 200 : 206)
}
