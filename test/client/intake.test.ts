import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, LookupFunction, Server, Socket } from 'node:net'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import t from 'tap'
import type { Test } from 'tap'
import { openHttp } from '../../client/http.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'

const MIB = 1024 * 1024
const CONTENT = randomBytes(3 * MIB + 12_345)
const LENGTH = `Content-Length: ${CONTENT.length}`

type Transport = {
  readonly scheme: string
  readonly listen: (answer: (socket: Socket) => void) => Server
  readonly ca?: string | undefined
}

const noOpenssl = await whyNoOpenssl()
const PLAIN: Transport = { scheme: 'http', listen: createServer }
const TRANSPORTS: Record<string, Transport> = { 'plain http': PLAIN }
if (noOpenssl === undefined) {
  const files = await makeCertificate(t.testdir())
  const [cert, key, ca] = await Promise.all([files.cert, files.key, files.ca].map((file) => readFile(file, 'utf8')))
  const listen = (answer: (socket: Socket) => void) => createTlsServer({ cert, key }, answer)
  TRANSPORTS.TLS = { scheme: 'https', listen, ca }
}

/** A server that answers each request of a connection with these bytes as they are, and the transport that asks it. */
async function openAsked(t: Test, { scheme, listen, ca }: Transport, answer: (socket: Socket, at: number) => void) {
  const sockets: Socket[] = []
  let asked = 0
  const server = listen((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', () => answer(socket, asked++))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const http = openHttp({ ...(ca === undefined ? {} : { ca }), lookup: nobodyFirst, maxSockets: 256 })
  t.teardown(() => {
    http.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const url = new URL(`${scheme}://localhost:${(server.address() as AddressInfo).port}/`)
  const ask = async (more: { readonly signal?: AbortSignal; readonly idleTimeout?: number } = {}) =>
    await http.send({ url, bulk: true, ...more })
  return { ask, sockets }
}

/** As of a host that does not answer at the first of its addresses: the second connection is read the same way. */
const nobodyFirst: LookupFunction = (_name, _options, found) => {
  const addresses = ['::1', '127.0.0.1'].map((address) => ({ address, family: address === '::1' ? 6 : 4 }))
  found(null, addresses)
}

/** Each chunk is copied after a while, in which more may arrive and must not change it. */
async function collect(body: AsyncIterable<Uint8Array>, pause: () => Promise<unknown> = () => turn()): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const chunk of body) {
    await pause()
    parts.push(new Uint8Array(chunk))
  }
  return Buffer.concat(parts)
}

const head = (...lines: string[]) => Buffer.from(['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n'))

/** Framed by lengths in between, as RFC 9112 7.1 has it. */
function chunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 100_000) {
    const part = bytes.subarray(at, at + 100_000)
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'))
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}

const WHOLE: Record<string, (socket: Socket) => unknown> = {
  'at once with its head': (socket) => socket.write(Buffer.concat([head(LENGTH), CONTENT])),
  'after its head': (socket) => {
    socket.write(head(LENGTH))
    setTimeout(() => socket.write(CONTENT), 20)
  },
  'with one byte beside its head': (socket) => {
    socket.write(Buffer.concat([head(LENGTH), CONTENT.subarray(0, 1)]))
    setTimeout(() => socket.write(CONTENT.subarray(1)), 20)
  },
  'and the connection ends': (socket) => socket.end(Buffer.concat([head(LENGTH, 'Connection: close'), CONTENT])),
  'and then more than was announced': (socket) => socket.write(Buffer.concat([head(LENGTH), CONTENT, CONTENT])),
  'in parts that are framed': (socket) =>
    socket.write(Buffer.concat([head('Transfer-Encoding: chunked'), chunked(CONTENT)])),
  'without a length, up to the end of the connection': (socket) => socket.end(Buffer.concat([head(), CONTENT])),
}

await t.test('two hundred bodies that nobody reads on take little memory', async (t) => {
  const answer = Buffer.concat([head(LENGTH), CONTENT])
  const { ask } = await openAsked(t, PLAIN, (socket) => socket.write(answer))
  const before = process.memoryUsage().arrayBuffers
  const readers = await Promise.all(Array.from({ length: 200 }, async () => (await ask()).body[Symbol.asyncIterator]()))
  await Promise.all(readers.map(async (reader) => await reader.next()))
  await Promise.all(readers.map(async (reader) => await reader.next()))
  await delay(500)
  const taken = (process.memoryUsage().arrayBuffers - before) / MIB
  t.ok(taken < 90, `${Math.round(taken)} MiB`)
})

for (const [over, transport] of Object.entries(TRANSPORTS)) {
  for (const [name, answer] of Object.entries(WHOLE)) {
    for (const [pace, pause] of [
      ['by a quick reader', () => turn()],
      ['by a slow one', () => delay(2)],
    ] as const) {
      await t.test(`over ${over} a body arrives whole that is sent ${name}, read ${pace}`, async (t) => {
        const { ask } = await openAsked(t, transport, answer)
        t.ok((await collect((await ask()).body, pause)).equals(CONTENT))
      })
    }
  }

  await t.test(`over ${over} a body that breaks off is no whole one`, async (t) => {
    const part = CONTENT.subarray(0, 2 * MIB)
    const { ask } = await openAsked(t, transport, (socket) => socket.end(Buffer.concat([head(LENGTH), part])))
    const parts: Uint8Array[] = []
    const reading = async () => {
      for await (const chunk of (await ask()).body) parts.push(new Uint8Array(chunk))
    }
    await t.rejects(reading(), { name: 'HttpError', code: 'NETWORK' })
    t.ok(Buffer.concat(parts).equals(part), 'and what came is given')
  })

  await t.test(`over ${over} a server that falls silent is not waited for`, async (t) => {
    const { ask } = await openAsked(t, transport, (socket) =>
      socket.write(Buffer.concat([head(LENGTH), CONTENT.subarray(0, MIB)])),
    )
    await t.rejects(collect((await ask({ idleTimeout: 100 })).body), { name: 'HttpError', code: 'TIMEOUT' })
  })

  await t.test(`over ${over} whoever gives up in the middle is told their own reason`, async (t) => {
    const { ask, sockets } = await openAsked(t, transport, (socket) =>
      socket.write(Buffer.concat([head(LENGTH), CONTENT.subarray(0, MIB)])),
    )
    const own = new AbortController()
    const reading = t.rejects(collect((await ask({ signal: own.signal })).body), { name: 'AbortError' })
    setTimeout(() => own.abort(), 50)
    await reading
    await closed(sockets)
  })

  await t.test(`over ${over} whoever looks at the beginning alone leaves no connection behind`, async (t) => {
    const { ask, sockets } = await openAsked(t, transport, (socket) =>
      socket.write(Buffer.concat([head(LENGTH), CONTENT])),
    )
    for await (const chunk of (await ask()).body) {
      t.ok(chunk.length > 0)
      break
    }
    await closed(sockets)
    ;(await ask()).discard()
    await closed(sockets)
  })

  await t.test(`over ${over} no more is taken in than a reader asks for`, async (t) => {
    let sent = 0
    const { ask } = await openAsked(t, transport, (socket) => {
      socket.write(head(`Content-Length: ${1024 * MIB}`))
      const more = () => {
        while (sent < 1024 * MIB && socket.write(CONTENT)) sent += CONTENT.length
      }
      socket.on('drain', more)
      more()
    })
    const response = await ask()
    for await (const chunk of response.body) {
      t.ok(chunk.length > 0)
      await delay(200)
      const before = sent
      await delay(200)
      t.equal(sent, before)
      break
    }
  })

  await t.test(`over ${over} refusals and redirections share a connection`, async (t) => {
    const { ask, sockets } = await openAsked(t, transport, (socket, at) =>
      socket.write(`HTTP/1.1 ${at % 2 === 0 ? '401 Unauthorized' : '307 Elsewhere'}\r\nContent-Length: 5\r\n\r\nnever`),
    )
    for (let i = 0; i < 6; i++) t.equal((await collect((await ask()).body)).toString(), 'never')
    t.equal(sockets.length, 1)
  })

  for (const rest of ['the rest', '']) {
    await t.test(
      `over ${over} a body of ${rest.length} bytes that came with its head leaves a good connection`,
      async (t) => {
        const { ask, sockets } = await openAsked(t, transport, (socket) =>
          socket.write(Buffer.concat([head(`Content-Length: ${rest.length}`), Buffer.from(rest)])),
        )
        for (let i = 0; i < 4; i++) {
          t.equal((await collect((await ask({ idleTimeout: 1000 })).body, () => delay(5))).toString(), rest)
          await delay(5)
        }
        t.equal(sockets.length, 1)
      },
    )
  }
}

async function closed(sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve))
}
