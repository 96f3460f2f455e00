import type { Call, Client } from './client.ts'
import { type Content, nameOf, type Sink } from './content.ts'
import { algorithmOf, type DigestWriter, openDigest, refuseOtherDigest, refuseOtherSize } from './digest.ts'
import { RegistryError } from './errors.ts'
import { announcedLength, type Deadline, drain, type Response } from './http.ts'
import type { RepositoryName } from './reference.ts'

/** From here on what is gained by reading in bulk is more than the connection that it takes. */
const BULK = 1024 * 1024

/** What has arrived, over however many connections. */
type Progress = { length: number; readonly digest: DigestWriter; etag: string | undefined }

/**
 * Fetches a blob whole, going on where a broken connection stopped. At no time more than `size` bytes are taken, and
 * the hash over all of them decides, so it does not matter what a second answer claims to be a continuation of.
 */
export async function downloadBlob(
  client: Client,
  ref: RepositoryName,
  wanted: Content,
  sink: Sink = () => {},
  signal?: AbortSignal,
): Promise<void> {
  const what = nameOf(ref, wanted.digest)
  const progress: Progress = { length: 0, digest: openDigest(algorithmOf(wanted.digest)), etag: undefined }
  const { limits } = client
  const deadline = client.deadline(signal, limits.requestMs + (wanted.size / limits.bytesPerSecond) * 1000)
  const call = { ref, method: 'GET', path: `blobs/${wanted.digest}`, bulk: wanted.size >= BULK, what, signal } as const
  const once = () => continueFrom(client, { ...call, headers: range(progress) }, wanted, progress, sink, deadline)
  await client.patiently(signal, once, () => progress.length)
  refuseOtherDigest(what, wanted.digest, progress.digest.end())
}

/** A weak ETag says "much the same", which is no good for bytes (RFC 9110, 13.1.5). */
function range({ length, etag }: Progress): Record<string, string> {
  if (length === 0) return { accept: '*/*' }
  const condition: Record<string, string> = etag?.startsWith('"') ? { 'if-range': etag } : {}
  return { accept: '*/*', range: `bytes=${length}-`, ...condition }
}

async function continueFrom(
  { ask, http }: Client,
  call: Call,
  wanted: Content,
  progress: Progress,
  sink: Sink,
  deadline: Deadline,
): Promise<void> {
  if (progress.length === wanted.size && progress.length > 0) return // it broke after the last byte
  const response = await ask(call, deadline)
  if (response.status === 404) {
    await drain(response)
    throw new RegistryError('UNKNOWN_BLOB', { what: call.what })
  }
  let skip = startOf(response, call.what, wanted, progress)
  progress.etag = response.header('etag')
  for await (const chunk of http.stream(response, call.what, deadline)) {
    const fresh = chunk.subarray(Math.min(skip, chunk.length))
    skip -= chunk.length - fresh.length
    if (progress.length + fresh.length > wanted.size) {
      refuseOtherSize(call.what, wanted.size, progress.length + fresh.length)
    }
    progress.length += fresh.length
    progress.digest.update(fresh)
    await sink(fresh)
  }
  refuseOtherSize(call.what, wanted.size, progress.length)
}

/** How many bytes of this answer we have already: none of a continuation, all of them where it starts anew. */
function startOf(response: Response, what: string, { size }: Content, { length }: Progress): number {
  const announced = announcedLength(response)
  const expected = response.status === 206 ? size - length : size
  if (response.status === 206) refuseOtherRange(response, what, size, length)
  if (announced !== undefined && announced !== expected) {
    response.discard()
    refuseOtherSize(what, expected, announced)
  }
  return response.status === 206 ? 0 : length
}

function refuseOtherRange(response: Response, what: string, size: number, length: number): void {
  const text = response.header('content-range') ?? ''
  const [, first, last, total] = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15}|\*)$/.exec(text) ?? []
  const fits = Number(first) === length && Number(last) === size - 1 && (total === '*' || Number(total) === size)
  if (fits && length > 0) return
  response.discard()
  throw new RegistryError('BAD_RESPONSE', {
    host: response.url.host,
    what,
    why: 'it is another part than was asked for',
  })
}
