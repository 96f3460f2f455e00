/** Bytes into an answer, no faster than whoever gets them takes them. */
import type { ServerResponse } from 'node:http'

/** Fills a buffer from one position on; gives how many bytes are in it now, and 0 only where there are no more. */
export type ReadAt = (buffer: Buffer, position: number) => Promise<number>

/**
 * From `start` up to and not including `end`, in pieces of so many bytes: a piece is read while the one before it goes out, into the same two buffers
 * all along, so that what an answer costs in memory is the same for any size and any client. Throws where there is less,
 * and where the client leaves before it has everything.
 */
export async function pour(
  response: ServerResponse,
  read: ReadAt,
  { start, end, piece }: { readonly start: number; readonly end: number; readonly piece: number },
): Promise<void> {
  const size = Math.min(piece, end - start)
  let [reading, sending] = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)]
  let sent: Promise<void> = Promise.resolve()
  for (let at = start; at < end; ) {
    const length = await read(reading.subarray(0, Math.min(size, end - at)), at)
    if (length === 0) throw new Error(`there are ${at} bytes where ${end} were announced`)
    at += length
    await sent
    refuseToNobody(response)
    sent = send(response, reading.subarray(0, length))
    ;[reading, sending] = [sending, reading]
  }
  await sent
  refuseToNobody(response)
}

/** Whoever left is sent nothing more, and is not counted among those who got it. */
export function refuseToNobody(response: ServerResponse): void {
  if (response.destroyed) throw new Error('the client left')
}

/** Resolves once the bytes are not needed any more: they went out, or nobody wants them. */
export function send(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  if (bytes.length === 0 || response.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      response.off('close', done)
      resolve()
    }
    response.on('close', done)
    response.write(bytes, done)
  })
}
