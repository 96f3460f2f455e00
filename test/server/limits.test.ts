import { connect } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { answerOf, limits, start } from './support/limits.ts'

await limits(t, 0)

await t.test('who asks and never takes the answer makes room for others', async (t) => {
  const { port } = await start(t, { readers: 0, requestTimeout: 1, keepAliveTimeout: 60, maxConnections: 1 })
  const greedy = connect(port, '127.0.0.1')
  greedy.on('error', () => greedy.destroy())
  await once(greedy, 'connect')
  greedy.pause()
  greedy.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2000))
  const ask = async () => {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    return answerOf(socket)
  }
  t.equal(await ask(), '', 'at first it has the only place')
  while ((await ask()) === '') await new Promise((resolve) => setTimeout(resolve, 250))
  greedy.destroy()
})
