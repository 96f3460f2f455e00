/** The socket: plain http or TLS, with or without certificates of clients, and no patience with who dawdles. */
import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { CommandError } from '../commands/errors.ts'
import { errnoOf } from '../trust/atomic.ts'

export type Tls = {
  readonly cert: Uint8Array
  readonly key: Uint8Array
  /** Only clients whose certificate one of these authorities signed. */
  readonly clientCa: Uint8Array | undefined
}

export type ListenOptions = {
  readonly host: string
  readonly port: number
  readonly tls: Tls | undefined
  readonly handle: RequestListener
}

export type Listening = {
  /** `http://127.0.0.1:5080` */
  readonly url: string
  /** Takes no more requests, waits that many milliseconds for those under way, and then ends them. */
  readonly close: (patience: number) => Promise<void>
  /** Shows this certificate from the next connection on. Throws FILE_MALFORMED, and then nothing changes. */
  readonly renew: (tls: Tls) => void
}

type TlsContext = {
  readonly cert: Buffer
  readonly key: Buffer
  readonly ca?: Buffer
  readonly requestCert?: boolean
  readonly rejectUnauthorized?: boolean
  readonly minVersion: 'TLSv1.2'
}

const LIMITS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 65_000, maxHeaderSize: 16 * 1024 }
/** Without a byte in either direction: long, because a part of a blob waits for the whole of it to be checked. */
const SILENCE_MS = 300_000
const IDLE_LOOK_MS = 50

/** Each of them may have an answer under way, and a file open for it. */
const MOST_CONNECTIONS = 4096
/** Requests of one connection that wait for the answers before them; engines send none ahead. */
const MOST_AHEAD = 16

/** Throws IO where the address cannot be had, and FILE_MALFORMED where certificate or key are none. */
export async function listen({ host, port, tls, handle: handleOne }: ListenOptions): Promise<Listening> {
  const handle = inTurn(handleOne)
  const secure = tls === undefined ? undefined : createSecure(tls, handle)
  const server = secure ?? createServer(LIMITS, handle)
  server.setTimeout(SILENCE_MS)
  server.maxConnections = MOST_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(new CommandError('IO', { what: `${host}:${port}`, why: errnoOf(cause) ?? cause.message }, { cause }))
    })
    server.listen(port, host, resolve)
  })
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${addressOf(server)}`,
    async close(patience) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      // Connections that are kept for a next request become idle one by one, when their answers have gone out.
      const idle = setInterval(() => server.closeIdleConnections(), IDLE_LOOK_MS)
      const late = setTimeout(() => server.closeAllConnections(), patience)
      await closed
      clearInterval(idle)
      clearTimeout(late)
    },
    renew: (next) => withCertificate(next, (context) => secure?.setSecureContext(context)),
  }
}

/**
 * One request of a connection after the other. Node hands over whatever a client wrote ahead, at once, and each of those
 * answers would hold its buffers and its file while nobody reads the first of them.
 */
function inTurn(handle: RequestListener): RequestListener {
  const waiting = new WeakMap<Socket, (() => void)[]>()

  function goOn(socket: Socket): void {
    const next = socket.destroyed ? undefined : waiting.get(socket)?.shift()
    if (next === undefined) waiting.delete(socket)
    else next()
  }

  return (request, response) => {
    const { socket } = request
    const begin = () => {
      response.once('close', () => goOn(socket))
      handle(request, response)
    }
    const ahead = waiting.get(socket)
    if (ahead === undefined) {
      waiting.set(socket, [])
      begin()
    } else if (ahead.push(begin) > MOST_AHEAD) {
      waiting.set(socket, [])
      socket.destroy()
    }
  }
}

function createSecure(tls: Tls, handle: RequestListener): TlsServer {
  return withCertificate(tls, (context) => createTlsServer({ ...LIMITS, ...context }, handle))
}

function withCertificate<T>({ cert, key, clientCa }: Tls, use: (context: TlsContext) => T): T {
  const clients =
    clientCa === undefined ? {} : { ca: Buffer.from(clientCa), requestCert: true, rejectUnauthorized: true }
  try {
    return use({ cert: Buffer.from(cert), key: Buffer.from(key), ...clients, minVersion: 'TLSv1.2' })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CommandError('FILE_MALFORMED', { path: 'the certificate or its key', why }, { cause })
  }
}

function addressOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no address')
  const { address: ip, port, family }: AddressInfo = address
  return family === 'IPv6' ? `[${ip}]:${port}` : `${ip}:${port}`
}
