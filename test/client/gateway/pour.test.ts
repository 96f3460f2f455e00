import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { pour } from '../../../client/gateway/pour.ts'
import type { ReadAt } from '../../../client/gateway/pour.ts'

const MIB = 1024 * 1024

/** A server that pours so much of what it reads, and the answer that a client got from it. */
async function openPour(t: Test, read: ReadAt, start: number, end: number) {
  const { promise: poured, resolve } = Promise.withResolvers<unknown>()
  const pourInto = async (response: ServerResponse): Promise<unknown> => {
    try {
      await pour(response, read, { start, end, piece: 256 * 1024 })
      response.end()
      return 'all of it'
    } catch (error) {
      response.destroy()
      return error
    }
  }
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': end - start })
    void pourInto(response).then(resolve)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const answer = await new Promise<IncomingMessage>((got) => get({ port, host: '127.0.0.1' }, got))
  return { answer, poured }
}

const from =
  (content: Buffer): ReadAt =>
  async (buffer, at) =>
    content.copy(buffer, 0, at, Math.min(content.length, at + buffer.length))

for (const [start, end] of [
  [0, 5 * MIB],
  [0, 1],
  [12_345, 3 * MIB + 1],
  [5 * MIB - 1, 5 * MIB],
] as const) {
  await t.test(`bytes ${start} to ${end} arrive as they are`, async (t) => {
    const content = randomBytes(5 * MIB)
    const { answer, poured } = await openPour(t, from(content), start, end)
    t.ok(Buffer.concat(await answer.toArray()).equals(content.subarray(start, end)))
    t.equal(await poured, 'all of it')
  })
}

await t.test('a client that does not read has no more read for it than the network takes', async (t) => {
  let furthest = 0
  const read: ReadAt = async (buffer, at) => {
    furthest = at
    return buffer.length
  }
  const { answer, poured } = await openPour(t, read, 0, 1024 * MIB)
  await delay(300)
  const before = furthest
  await delay(300)
  t.equal(furthest, before)
  t.ok(furthest < 64 * MIB, `${furthest} bytes`)
  answer.destroy()
  t.match(await poured, { message: 'the client left' })
})

await t.test('a file that became shorter is no answer that ends well', async (t) => {
  const { answer, poured } = await openPour(t, from(randomBytes(MIB)), 0, 2 * MIB)
  await t.rejects(answer.toArray())
  t.match(await poured, { message: /there are 1048576 bytes where 2097152 were announced/ })
})
