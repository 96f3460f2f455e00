/** Requests as a reader passes them on, over real sockets. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeForwarder } from '../../../server/readers/forward.ts'

await t.test(
  'a length that was not parsed is not passed on, or the next request would be taken for a body',
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'tagseal-forward-')) // a short path, as sockets need
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const socketPath = join(folder, 'main.sock')
    const asked: string[] = []
    const main = createServer((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers['content-length']}`)
      response.end('ok')
    }).listen(socketPath)
    const forwarder = makeForwarder(socketPath, () => false)
    const reader = createServer((request, response) => {
      // As Node 22 does with whatever comes after a thousand headers. Node 24 refuses so many.
      if (request.headers['x-many'] !== undefined) delete request.headers['content-length']
      forwarder.forward(request, response, (cause) => response.destroy(cause))
    }).listen(0, '127.0.0.1')
    await Promise.all([once(main, 'listening'), once(reader, 'listening')])
    t.teardown(() => {
      forwarder.close()
      for (const server of [reader, main]) {
        server.closeAllConnections()
        server.close()
      }
    })
    const { port } = reader.address() as AddressInfo
    const body = 'x'.repeat(80)
    const attack = `GET /attack HTTP/1.1\r\nHost: x\r\nX-Many: 1000\r\nContent-Length: ${body.length}\r\n`
    t.match(await answerTo(port, `${attack}Connection: close\r\n\r\n${body}`), /^HTTP\/1\.1 200 /)
    t.match(await answerTo(port, 'GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /)
    t.strictSame(asked, ['GET /attack undefined', 'GET /next undefined'])
  },
)

async function answerTo(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (part: Buffer) => {
    text += part.toString()
  })
  socket.on('error', () => socket.destroy())
  socket.setTimeout(2000, () => socket.destroy())
  socket.write(request)
  await once(socket, 'close')
  return text
}
