import http from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Stored } from './images.ts'

/** What stands between a client and a server, and can get in the way. */
export type Proxy = {
  /** `127.0.0.1:40002`. */
  readonly host: string
  readonly url: string
  /** Every request that came, as `POST /path`. */
  readonly seen: readonly string[]
  /** Awaited before a request goes on. */
  before: (request: IncomingMessage) => Promise<void> | void
  /** Whether the answer is dropped, together with its connection, after the server has given it. */
  drop: (request: IncomingMessage) => boolean
  /** What is answered instead. */
  alter: (bytes: Buffer, request: IncomingMessage) => Buffer
  /** What is answered without asking the server. */
  forge: (request: IncomingMessage) => Stored | undefined
  readonly close: () => Promise<void>
}

export async function startProxy(target: string): Promise<Proxy> {
  const seen: string[] = []
  const server = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    const forward = async () => {
      const body = await collect(request)
      await proxy.before(request)
      const forged = proxy.forge(request)
      if (forged !== undefined) {
        response.writeHead(200, { 'content-type': forged.mediaType, 'content-length': forged.size }).end(forged.bytes)
        return
      }
      const { answer, bytes } = await exchange(target, request, body)
      const altered = proxy.alter(bytes, request)
      const headers = altered === bytes ? answer.headers : { ...answer.headers, 'content-length': altered.length }
      if (proxy.drop(request)) request.socket.destroy()
      else response.writeHead(answer.statusCode ?? 502, headers).end(altered)
    }
    forward().catch(() => request.socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const proxy: Proxy = {
    host,
    url: `http://${host}`,
    seen,
    before: () => {},
    drop: () => false,
    alter: (bytes) => bytes,
    forge: () => undefined,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return proxy
}

type Answer = { readonly answer: IncomingMessage; readonly bytes: Buffer }

function exchange(target: string, { method, url, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
  const { hostname, port } = new URL(target)
  return new Promise((resolve, reject) => {
    const outgoing = http.request({ hostname, port, method, path: url, headers, agent: false }, (answer) => {
      collect(answer).then((bytes) => resolve({ answer, bytes }), reject)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

async function collect(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of message) parts.push(part as Buffer)
  return Buffer.concat(parts)
}
