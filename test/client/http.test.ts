import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openHttp } from '../../client/http.ts'

const ANSWERS: Record<string, string> = {
  'one that leaves HTTP': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  'one that never comes after all': 'HTTP/1.1 100 Continue\r\n\r\n',
  'none at all': '',
}

for (const [name, answer] of Object.entries(ANSWERS)) {
  await t.test(`an answer is waited for no longer than its connection lives: ${name}`, async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(answer))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const http = openHttp()
    t.teardown(() => {
      http.close()
      server.close()
    })
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    await t.rejects(http.send({ url }), { name: 'HttpError', code: 'NETWORK' })
  })
}
