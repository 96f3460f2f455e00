import type { IncomingMessage } from 'node:http'
import { AdmissionError } from './errors.ts'
import type { Share } from './room.ts'

/** An object has at most 3 MB in an API server's own store; an update brings two, and both are written out in JSON. */
export const MOST_BYTES = 8 * 1024 * 1024
/** What a part costs beside its bytes: a body may come in millions of one. */
const A_PART = 256
/** What reading makes of a byte, about: a list of nothing but `{}` takes twenty times its bytes. */
const READ: ReadonlyMap<string, number> = new Map([
  ['{', 48],
  ['[', 32],
  [':', 32],
  [',', 16],
])
const READ_BYTES = Uint8Array.from({ length: 256 }, (_, byte) => READ.get(String.fromCharCode(byte)) ?? 0)

/**
 * Throws NOT_A_REVIEW for another type than JSON, and REVIEW_TOO_LARGE or TOO_BUSY before more is read; TOO_SLOW for what
 * is not there after so many milliseconds: whoever dawdles must not keep the room of others.
 */
export async function readBody(request: IncomingMessage, share: Share, most: number): Promise<Uint8Array> {
  const { headers } = request
  if (!/^application\/json(?:; ?charset=utf-8)?$/i.test(headers['content-type'] ?? ''))
    throw new AdmissionError('NOT_A_REVIEW', { why: 'its content type is not application/json' })
  if ((headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new AdmissionError('NOT_A_REVIEW', { why: 'its content is encoded' })
  if (Number(headers['content-length'] ?? 0) > MOST_BYTES) throw tooLarge()
  const bytes = await collect(request, share, most)
  const refusal = share.take(onceRead(bytes))
  if (refusal !== undefined) throw refusal
  return bytes
}

function onceRead(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i++) sum += READ_BYTES[bytes[i] ?? 0] ?? 0
  return sum
}

/** Not by iterating: that would end the connection before the reason is told. */
function collect(request: IncomingMessage, share: Share, most: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let parts: Buffer[] = []
    let size = 0
    const refuse = (why: AdmissionError) => {
      parts = [] // whoever was refused may send on for as long as they like
      request.removeAllListeners('data').resume()
      reject(why)
    }
    const late = setTimeout(() => refuse(new AdmissionError('TOO_SLOW', { seconds: most / 1000 })), most)
    request.on('data', (part: Buffer) => {
      size += part.length
      const refusal = size > MOST_BYTES ? tooLarge() : share.take(part.length + A_PART)
      if (refusal === undefined) parts.push(part)
      else refuse(refusal)
    })
    request.on('end', () => resolve(Buffer.concat(parts)))
    request.on('error', reject)
    request.on('close', () => {
      clearTimeout(late)
      reject(new AdmissionError('NOT_A_REVIEW', { why: 'it ended early' }))
    })
  })
}

function tooLarge(): AdmissionError<'REVIEW_TOO_LARGE'> {
  return new AdmissionError('REVIEW_TOO_LARGE', { limit: MOST_BYTES })
}
