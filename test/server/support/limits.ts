/** What a caller could do to a server's sockets. Real connections, for it is Node's HTTP that is tested. */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino, type DestinationStream } from 'pino'
import type { Test } from 'tap'
import { loadSettings } from '../../../server/config.ts'
import type { Listening } from '../../../server/listen.ts'
import { startServer } from '../../../server/start.ts'
import { REPO } from './app.ts'

export async function start(
  t: Test,
  flags: Record<string, number | boolean | string>,
  log?: DestinationStream,
): Promise<{ server: Listening; port: number }> {
  const data = mkdtempSync(join(tmpdir(), 'tagseal-limits-'))
  const settings = loadSettings({
    flags: { data, open: true, listen: '127.0.0.1:0', logLevel: 'silent', ...flags },
    env: {},
  })
  const server = await startServer(settings, {
    clock: Date.now,
    random: () => 0.5,
    env: {},
    logger: log === undefined ? pino({ level: 'silent' }) : pino({}, log),
  })
  t.teardown(async () => {
    await server.close()
    rmSync(data, { recursive: true, force: true })
  })
  return { server, port: Number(new URL(server.url).port) }
}

/** All that the server says until it hangs up. */
export async function answerOf(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  socket.on('error', () => socket.destroy())
  await once(socket, 'close')
  return text
}
const upload = `POST /v2/${REPO}/_trust/tuf/ HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nContent-Type: multipart/form-data; boundary=b\r\n`

/** With `readers` at most 1: a single one has every limit to itself. */
export async function limits(t: Test, readers: number): Promise<void> {
  await t.test('headers that do not come end the connection', async (t) => {
    const { port } = await start(t, { readers, headersTimeout: 1 })
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n')
    const answer = await answerOf(socket)
    t.match(answer, /^HTTP\/1\.1 408 /)
    t.match(answer, /x-request-id: /)
    t.match(answer, /"code":"TIMEOUT"/)
  })

  await t.test('a body that does not come ends the connection', async (t) => {
    const { port } = await start(t, { readers, requestTimeout: 1, headersTimeout: 1 })
    const socket = connect(port, '127.0.0.1')
    socket.write(`${upload}Content-Length: 1000\r\n\r\n--b\r\n`)
    t.match(await answerOf(socket), /^HTTP\/1\.1 408 [^]*"code":"TIMEOUT"/)
  })

  await t.test('headers without end are refused', async (t) => {
    const { port } = await start(t, { readers, maxHeaderBytes: 2048 })
    const socket = connect(port, '127.0.0.1')
    socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(5000)}\r\n\r\n`)
    t.match(await answerOf(socket), /^HTTP\/1\.1 431 [^]*"code":"HEADERS_TOO_LARGE"/)
  })

  await t.test('what is no HTTP is refused', async (t) => {
    const { port } = await start(t, { readers })
    const socket = connect(port, '127.0.0.1')
    socket.write('\x16\x03\x01 hello\r\n\r\n')
    t.match(await answerOf(socket), /^HTTP\/1\.1 400 [^]*"code":"INVALID_REQUEST"/)
  })

  await t.test('an endless chunked body is cut off at the limit', async (t) => {
    const { port } = await start(t, { readers, maxUpload: 64 * 1024 })
    const socket = connect(port, '127.0.0.1')
    const answer = answerOf(socket)
    socket.write(`${upload}Transfer-Encoding: chunked\r\n\r\n`)
    const head = '--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
    socket.write(`${head.length.toString(16)}\r\n${head}\r\n`)
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
    const timer = setInterval(() => socket.writable && socket.write(chunk), 1)
    const text = await Promise.race([answer, once(socket, 'data').then(([first]: Buffer[]) => String(first))])
    clearInterval(timer)
    socket.destroy()
    t.match(text, /^HTTP\/1\.1 413 [^]*"code":"TOO_LARGE"/)
  })

  await t.test('who hangs up in the middle of an upload is in the log and in the figures', async (t) => {
    const lines: string[] = []
    const { server, port } = await start(t, { readers }, { write: (line: string) => void lines.push(line) })
    const socket = connect(port, '127.0.0.1')
    socket.write(`${upload}X-Request-Id: gone\r\nContent-Length: 1000\r\n\r\n--b\r\n`)
    await new Promise((resolve) => setTimeout(resolve, 100))
    socket.destroy()
    const found = () => lines.filter((line) => line.includes('"request":"gone"'))
    while (found().length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    await new Promise((resolve) => setTimeout(resolve, 100))
    t.equal(found().length, 1, 'one line')
    t.match(JSON.parse(found()[0] ?? '{}'), { method: 'POST', status: 499 })
    const figures = await (await fetch(`${server.url}/metrics`)).text()
    t.match(figures, /tagseal_requests_total\{route="\/v2\/:repository\/_trust\/tuf\/",status="499"\} 1\n/)
  })

  await t.test('connections beyond the limit are dropped', async (t) => {
    const { port } = await start(t, { readers, maxConnections: 2 })
    const open = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
    await Promise.all(open.map((socket) => once(socket, 'connect')))
    for (const socket of open) socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    await Promise.all(open.map((socket) => once(socket, 'data')))
    const third = connect(port, '127.0.0.1')
    t.equal(await answerOf(third), '')
    for (const socket of open) socket.destroy()
  })

  await t.test('a publish that runs is finished before the server stops, and readiness says so first', async (t) => {
    const { server, port } = await start(t, { readers })
    const [slow, probe] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
    await Promise.all([once(slow, 'connect'), once(probe, 'connect')])
    slow.write(`${upload}Content-Length: 40\r\n\r\n--b\r\n`)
    probe.write('GET /readyz HTTP/1.1\r\nHost: x\r\n\r\nGET /ready')
    const [first] = (await once(probe, 'data')) as [Buffer]
    t.match(first.toString(), /^HTTP\/1\.1 200 /)
    const closed = server.close()
    await new Promise((resolve) => setTimeout(resolve, 50))
    probe.write('z HTTP/1.1\r\nHost: x\r\n\r\n')
    t.match(await answerOf(probe), /^HTTP\/1\.1 503 [^]*"code":"UNAVAILABLE"/)
    slow.write('x'.repeat(35))
    t.match(await answerOf(slow), /^HTTP\/1\.1 400 [^]*"code":"MALFORMED_UPLOAD"/, 'it was still answered')
    await closed
    const refused = connect(port, '127.0.0.1')
    const [error] = (await once(refused, 'error')) as [Error & { code: string }]
    t.equal(error.code, 'ECONNREFUSED')
  })

  await t.test('a request that never ends does not hold up the stop for longer than told', async (t) => {
    const { server, port } = await start(t, { readers, drainTimeout: 1 })
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(`${upload}Content-Length: 40\r\n\r\n--b\r\n`)
    socket.on('error', () => socket.destroy())
    await new Promise((resolve) => setTimeout(resolve, 50))
    await server.close()
    t.pass('stopped')
  })
}
