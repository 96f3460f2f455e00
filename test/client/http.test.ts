import { readFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import t from 'tap'
import { isHttpError } from '../../client/http-errors.ts'
import { openHttp } from '../../client/http.ts'
import type { HttpResponse } from '../../client/http.ts'
import { makeCertificate, whyNoOpenssl } from '../support/tls.ts'

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

const LARGE = 3 * 1024 * 1024
type Body = {
  readonly head?: string
  readonly body: (socket: Socket) => void
  readonly reads: (response: HttpResponse, server: Socket, end: AbortController) => Promise<unknown>
  readonly gives: unknown
}
const collect = async ({ body }: HttpResponse) => {
  let size = 0
  for await (const part of body) size += part.length
  return size
}
const BODIES: Record<string, Body> = {
  'of nothing': { head: 'content-length: 0', body: () => undefined, reads: collect, gives: 0 },
  'of more than fits anywhere at once': {
    head: `content-length: ${LARGE}`,
    body: (socket) => socket.write(Buffer.alloc(LARGE)),
    reads: collect,
    gives: LARGE,
  },
  'in chunks': {
    head: 'transfer-encoding: chunked',
    body: (socket) => socket.write(`${'3\r\nabc\r\n'.repeat(2000)}0\r\n\r\n`),
    reads: collect,
    gives: 6000,
  },
  'that ends with its connection': { body: (socket) => socket.end('abc'), reads: collect, gives: 3 },
  'that is cut short': {
    head: 'content-length: 4',
    body: (socket) => socket.end('abc'),
    reads: async (response) => await codeOf(collect(response)),
    gives: 'NETWORK ECONNRESET',
  },
  'that was cut short before anybody looked': {
    head: 'content-length: 4',
    body: (socket) => socket.write('abc'),
    reads: async (response, server) => {
      server.resetAndDestroy()
      await new Promise((resolve) => setTimeout(resolve, 50))
      return await codeOf(collect(response))
    },
    gives: 'NETWORK ECONNRESET',
  },
  'that does not go on': {
    head: 'content-length: 4',
    body: (socket) => socket.write('abc'),
    reads: async (response) => await codeOf(collect(response)),
    gives: 'TIMEOUT',
  },
  'that is given up while it is waited for': {
    head: 'content-length: 4',
    body: (socket) => socket.write('abc'),
    reads: async (response, _, end) => {
      setTimeout(() => end.abort(new Error('given up')), 20)
      return await codeOf(collect(response))
    },
    gives: 'NETWORK given up',
  },
  'that is left after its first part': {
    head: `content-length: ${LARGE}`,
    body: (socket) => socket.write(Buffer.alloc(LARGE)),
    reads: async ({ body }, server) => {
      const closed = new Promise((resolve) => server.once('close', () => resolve('closed')))
      for await (const part of body) if (part.length > 0) break
      return await closed
    },
    gives: 'closed',
  },
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work
  } catch (error) {
    if (!isHttpError(error)) throw error
    return error.code === 'NETWORK' ? `NETWORK ${error.detail.reason}` : error.code
  }
}

for (const [name, { head, body, reads, gives }] of Object.entries(BODIES)) {
  await t.test(`a body ${name}`, async (t) => {
    let asked: Socket | undefined
    const server = createServer((socket) => {
      asked = socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\n${head === undefined ? '' : `${head}\r\n`}\r\n`)
        body(socket)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const http = openHttp()
    t.teardown(() => {
      http.close()
      asked?.destroy()
      server.close()
    })
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    const end = new AbortController()
    const response = await http.send({ url, idleTimeout: 500, signal: end.signal })
    t.equal(asked === undefined ? undefined : await reads(response, asked, end), gives)
  })
}

const NAMES: Record<string, { names: string; host: string; asks: unknown; gives: unknown }> = {
  'a name, which is asked for': { names: 'DNS:localhost', host: 'localhost', asks: 'localhost', gives: 200 },
  'an address, which is not': { names: 'IP:127.0.0.1', host: '127.0.0.1', asks: false, gives: 200 },
  'another name': {
    names: 'DNS:example.com',
    host: 'localhost',
    asks: 'localhost',
    gives: 'NETWORK ERR_TLS_CERT_ALTNAME_INVALID',
  },
  'a name where an address is asked': {
    names: 'DNS:localhost',
    host: '127.0.0.1',
    asks: false,
    gives: 'NETWORK ERR_TLS_CERT_ALTNAME_INVALID',
  },
}
for (const [name, { names, host, asks, gives }] of Object.entries(NAMES)) {
  await t.test(`a certificate is for ${name}`, { skip: (await whyNoOpenssl()) ?? false }, async (t) => {
    const { cert, key, caText: ca } = await makeCertificate(t.testdir(), names)
    const asked: unknown[] = []
    const server = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) =>
      response.end(),
    )
    server.on('secureConnection', ({ servername }) => asked.push(servername))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const http = openHttp({ ca })
    t.teardown(() => {
      http.close()
      server.close()
    })
    const url = new URL(`https://${host}:${(server.address() as AddressInfo).port}/`)
    const status = async () => (await http.send({ url })).status
    t.equal(await codeOf(status()), gives)
    if (gives === 200) t.same(asked, [asks])
  })
}
