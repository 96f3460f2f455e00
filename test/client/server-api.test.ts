import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openHttp } from '../../client/http.ts'
import { openServerApi } from '../../client/server-api.ts'

await t.test('a server that trickles is given up, and not taken for one that was told to stop', async (t) => {
  const timers: NodeJS.Timeout[] = []
  const server = createServer((_request, response) => {
    response.writeHead(200)
    timers.push(setInterval(() => response.write(' '), 10))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const http = openHttp()
  t.teardown(() => {
    for (const timer of timers) clearInterval(timer)
    http.close()
    server.closeAllConnections()
    server.close()
  })
  const options = {
    http,
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    repository: 'registry.example.com/team/app',
    token: undefined,
    signal: new AbortController().signal,
    patience: { milliseconds: 100, rate: 1024 },
  }
  await t.rejects(openServerApi(options).history('1', 1), { name: 'HttpError', code: 'TIMEOUT' })
  const stop = new AbortController()
  const stopped = openServerApi({ ...options, signal: stop.signal }).history('1', 1)
  stop.abort()
  await t.rejects(stopped, { name: 'AbortError' })
})
