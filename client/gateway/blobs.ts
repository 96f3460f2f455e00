/** Blobs to clients: from the disk, or through it from upstream, or past it where they are too large to be kept. */
import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { errnoOf } from '../trust/atomic.ts'
import { openFill } from './fill.ts'
import type { Fill } from './fill.ts'
import { readRange } from './range.ts'
import type { Range } from './range.ts'
import type { Incoming, Kept, Store } from './store.ts'
import type { Place } from './upstreams.ts'

export type Blob = { readonly digest: string; readonly size: number }
export type Transfer = {
  readonly place: Place
  readonly blob: Blob
  readonly range: string | undefined
  readonly response: ServerResponse
}

export type Blobs = {
  /** Answers the request, or throws before anything of an answer was sent. Gives where the bytes came from. */
  readonly send: (transfer: Transfer) => Promise<'cache' | 'upstream'>
}

const CHUNK = 256 * 1024

export function openBlobs(store: Store): Blobs {
  const fills = new Map<string, Promise<Fill | undefined>>()

  /** One fetch for all who ask at once. undefined: it is not to be kept. */
  function fillFor(place: Place, blob: Blob): Promise<Fill | undefined> {
    const known = fills.get(blob.digest)
    if (known !== undefined) return known
    const started = start(store, place, blob)
    fills.set(blob.digest, started)
    const forget = () => fills.delete(blob.digest)
    started.then((fill) => (fill === undefined ? forget() : void fill.finished.then(forget, forget)), forget)
    return started
  }

  async function kept(response: ServerResponse, blob: Blob, found: Kept, range: Range | undefined): Promise<'cache'> {
    writeHead(response, blob, range)
    const options = range === undefined ? {} : { start: range.start, end: range.end }
    await pipeline(found.handle.createReadStream({ ...options, highWaterMark: CHUNK }), response)
    return 'cache'
  }

  return {
    async send({ place, blob, range: header, response }) {
      const range = readRange(header, blob.size)
      const found = await store.open(blob.digest, blob.size)
      if (found !== undefined) return await kept(response, blob, found, range)
      const fill = await fillFor(place, blob)
      if (fill === undefined) return await sendPast(place, blob, response)
      if (range === undefined && blob.size > 0) return await sendAlong(fill, blob, response)
      await fill.finished // a part cannot be checked by itself
      const whole = await store.open(blob.digest, blob.size)
      return whole === undefined ? await sendPast(place, blob, response) : await kept(response, blob, whole, range)
    },
  }
}

/** A disk that is full or gone must not keep a signed image from whoever needs it. */
async function start(store: Store, { registry, ref }: Place, blob: Blob): Promise<Fill | undefined> {
  let incoming: Incoming | undefined
  try {
    incoming = await store.receive(blob.digest, blob.size)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
  if (incoming === undefined) return undefined
  return openFill(blob.size, incoming, (sink) => registry.blob(ref, blob, sink))
}

/** While it arrives. The last byte goes out once the hash is right; else the connection ends without it. */
async function sendAlong(fill: Fill, blob: Blob, response: ServerResponse): Promise<'upstream'> {
  fill.enter()
  try {
    await fill.more(0) // what upstream refuses is refused in words, before there is an answer
    writeHead(response, blob, undefined)
    for (let at = 0; at < blob.size && !response.destroyed; ) {
      await fill.more(at)
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, fill.ready() - at))
      const length = await fill.read(buffer, buffer.length, at)
      if (length === 0) throw new Error(`the file of ${blob.digest} became shorter while it was written`)
      at += length
      await write(response, buffer.subarray(0, length))
    }
    response.end()
  } finally {
    fill.leave()
  }
  return 'upstream'
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
    last = chunk.subarray(end)
    await write(response, chunk.subarray(0, end))
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

/** Waits for a slow client instead of holding its bytes in memory; one that left is waited for no more. */
function write(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  if (chunk.length === 0 || response.destroyed || response.write(chunk)) return Promise.resolve()
  return new Promise((resolve) => {
    const go = () => {
      response.off('drain', go)
      response.off('close', go)
      resolve()
    }
    response.on('drain', go)
    response.on('close', go)
  })
}
