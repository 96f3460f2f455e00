import type { Socket } from 'node:net'
import { LONGEST_LINE } from './protocol.ts'

/** The one line that comes through a socket, without its end. Throws where it is too long, or the end never comes. */
export async function readLine(socket: Socket): Promise<Uint8Array> {
  const parts: Buffer[] = []
  let size = 0
  // `for await` would destroy the socket when the line is there, and an answer has to go back through it.
  for await (const part of socket.iterator({ destroyOnReturn: false })) {
    const bytes: unknown = part
    if (!Buffer.isBuffer(bytes)) throw new Error('it is no line')
    const end = bytes.indexOf(0x0a)
    parts.push(end < 0 ? bytes : bytes.subarray(0, end))
    size += bytes.length
    if (size > LONGEST_LINE) throw new Error('it says too much')
    if (end >= 0) return Buffer.concat(parts)
  }
  throw new Error('it says nothing')
}
