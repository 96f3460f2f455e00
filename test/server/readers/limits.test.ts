import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { answerOf, limits, start } from '../support/limits.ts'

await limits(t, 1)

await t.test('whoever sends many requests on one connection takes no connection from others', async (t) => {
  const { port } = await start(t, { readers: 1, maxConnections: 5 })
  const many = 200 // more than the main process takes from all callers and readers together
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const answers = answerOf(socket)
  const request = (more: string) => `GET /healthz HTTP/1.1\r\nHost: x\r\n${more}\r\n`
  socket.write(request('').repeat(many - 1) + request('Connection: close\r\n'))
  t.equal((await answers).match(/HTTP\/1\.1 200 /g)?.length, many)
})
