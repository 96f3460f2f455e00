/** Exchanges with whoever listens on a socket of the file system: here, one who says what each case wants. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { makeLines, type Answer } from '../../../server/readers/lines.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-a: b: c\r\n\r\nok'
const BODY = 'x'.repeat(200_000)

await t.test('one connection serves one exchange after the other', async (t) => {
  const main = await listen(t, (socket) => void socket.write(OK))
  const lines = main.lines()
  for (const request of ['one', 'two', 'three']) {
    const { status, reason, headers, body } = await ask(lines, request)
    t.strictSame([status, reason, body.toString()], [200, 'OK', 'ok'])
    t.strictSame(headers, [
      ['Content-Length', '2'],
      ['x-a', 'b: c'],
    ])
  }
  t.strictSame(main.got, ['one', 'two', 'three'])
  t.equal(main.connections(), 1)
  await Promise.all([ask(lines, 'four'), ask(lines, 'five')])
  t.equal(main.connections(), 2, 'and two at once have one each')
})

const PIECES: Record<string, readonly string[]> = {
  'byte by byte': OK.split(''),
  'with its body later': [OK.slice(0, -2), 'o', 'k'],
  'that is long': ['HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n', BODY.slice(0, 70_000), BODY.slice(70_000)],
  'without a body': ['HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n'],
  'without a reason': ['HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n'],
}
for (const [name, pieces] of Object.entries(PIECES)) {
  await t.test(`takes an answer ${name}`, async (t) => {
    const main = await listen(t, async (socket) => {
      for (const piece of pieces) {
        socket.write(piece)
        await sleep(1)
      }
    })
    const { body } = await ask(main.lines(), 'x')
    const text = pieces.join('')
    t.equal(body.toString(), text.slice(text.indexOf('\r\n\r\n') + 4))
  })
}

const BROKEN: Record<string, string | undefined> = {
  'hangs up': undefined,
  'hangs up in the middle': OK.slice(0, -1),
  'says no length': 'HTTP/1.1 200 OK\r\n\r\n',
  'says a length that is none': 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n',
  'sends chunks': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  'says more than it announced': `${OK}${OK}`,
  'speaks no HTTP': 'hello\r\n\r\n',
  'answers something in between': 'HTTP/1.1 100 Continue\r\n\r\n',
}
for (const [name, text] of Object.entries(BROKEN)) {
  await t.test(`fails where the other side ${name}, and the next exchange has a connection of its own`, async (t) => {
    let first = true
    const main = await listen(t, (socket) => {
      if (!first) return void socket.write(OK)
      first = false
      if (text !== undefined) socket.write(text)
      if (name.startsWith('hangs up')) socket.end()
    })
    const lines = main.lines()
    await t.rejects(ask(lines, 'x'), { message: /^the main process/ })
    t.equal((await ask(lines, 'y')).status, 200)
    t.equal(main.connections(), 2)
  })
}

await t.test('who ends the connection with an answer is not asked on it again', async (t) => {
  const main = await listen(t, (socket) => void socket.write(OK.replace('x-a: b: c', 'Connection: close')))
  const lines = main.lines()
  for (const request of ['one', 'two']) t.equal((await ask(lines, request)).status, 200)
  t.equal(main.connections(), 2)
})

await t.test('a connection that idles is given up, and no more of them than agreed wait', async (t) => {
  const main = await listen(t, (socket) => void socket.write(OK))
  const lines = main.lines({ most: 1, idleMs: 30 })
  await Promise.all([ask(lines, 'one'), ask(lines, 'two')])
  while (main.open() > 0) await sleep(10)
  t.equal((await ask(lines, 'three')).status, 200)
  t.equal(main.connections(), 3)
})

await t.test('an exchange that is slow is no connection that idles', async (t) => {
  const main = await listen(t, async (socket) => {
    await sleep(60)
    socket.write(OK)
  })
  t.equal((await ask(main.lines({ idleMs: 20 }), 'one')).status, 200)
})

await t.test('what is stopped ends its connection and is told nothing', async (t) => {
  const main = await listen(t, () => undefined)
  const told: unknown[] = []
  const lines = main.lines()
  const stop = lines.ask(Buffer.from('x'), { answered: (answer) => told.push(answer), failed: (why) => told.push(why) })
  while (main.got.length === 0) await sleep(5)
  stop()
  while (main.open() > 0) await sleep(5)
  t.strictSame(told, [])
})

await t.test('what is stopped after its answer disturbs nobody who has the connection by then', async (t) => {
  let silent = false
  const main = await listen(t, async (socket) => {
    while (silent) await sleep(5)
    socket.write(OK)
  })
  const lines = main.lines()
  let stop = (): void => undefined
  await new Promise((answered, failed) => {
    stop = lines.ask(Buffer.from('one'), { answered, failed })
  })
  silent = true
  const next = ask(lines, 'two')
  stop()
  silent = false
  t.equal((await next).status, 200)
  t.equal(main.connections(), 1)
})

await t.test('nobody there', async (t) => {
  const lines = makeLines({ socketPath: join(tmpdir(), 'tagseal-nobody.sock'), most: 1, idleMs: 1000 })
  await t.rejects(ask(lines, 'x'), { code: 'ENOENT' })
})

function ask(lines: ReturnType<typeof makeLines>, request: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    lines.ask(Buffer.from(request), { answered: resolve, failed: reject })
  })
}

async function listen(t: Test, answer: (socket: Socket) => unknown) {
  const folder = mkdtempSync(join(tmpdir(), 'tagseal-lines-')) // a short path, as sockets need
  const socketPath = join(folder, 'main.sock')
  const sockets = new Set<Socket>()
  const got: string[] = []
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes) => {
      got.push(bytes.toString())
      void answer(socket)
    })
  }).listen(socketPath)
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    got,
    connections: () => connections,
    open: () => sockets.size,
    lines(options: { readonly most?: number; readonly idleMs?: number } = {}) {
      const lines = makeLines({ socketPath, most: 4, idleMs: 1000, ...options })
      t.teardown(() => lines.close())
      return lines
    },
  }
}
