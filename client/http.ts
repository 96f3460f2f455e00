/**
 * The one way out of this process: HTTP/1.1 over `node:http` and `node:https`.
 *
 * Short commands run per pull and per signature, so what a module costs to load counts (ADR 0012): `node:http`
 * is part of Node's own snapshot. Nothing here follows a redirect, keeps a cookie or sends a credential by itself.
 */
import type { Agent, IncomingMessage, RequestOptions } from 'node:http'
import type { AgentOptions } from 'node:https'
import type { LookupFunction } from 'node:net'
import { HttpError } from './http-errors.ts'
import { readByIntakes, takeBody } from './intake.ts'

// An `import` of these evaluates every lazy export of theirs, and TLS is loaded where nothing asks for it.
const plain = () => process.getBuiltinModule('node:http')
const secure = () => process.getBuiltinModule('node:https')

export type HttpRequest = {
  readonly url: URL
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | readonly Uint8Array[]
  /** Aborting it ends the request with the signal's reason. */
  readonly signal?: AbortSignal
  /** Milliseconds without a byte in either direction. */
  readonly idleTimeout?: number
  /**
   * A large body is asked for, which is worth a connection: its chunks are good until the next one is asked for, and no
   * longer (ADR 0041).
   */
  readonly bulk?: boolean
}

/** A header sent twice comes joined by `, `, as RFC 9110 5.3 allows. */
export type HttpResponse = {
  readonly status: number
  readonly header: (name: string) => string | undefined
  /** Each value of a header that was sent several times. */
  readonly headerValues: (name: string) => readonly string[]
  /** The raw bytes as they come. Must be read to its end or left by `discard`. */
  readonly body: AsyncIterable<Uint8Array>
  /** Drops the rest of the body and its connection. */
  readonly discard: () => void
}

export type Http = {
  readonly send: (request: HttpRequest) => Promise<HttpResponse>
  readonly close: () => void
}

export type HttpOptions = {
  /** PEM of the certificate authorities to trust instead of the built-in ones, as curl's `--cacert` does. */
  readonly ca?: string
  /** Whether plain http may be spoken to this host name and port. Loopback is always allowed. */
  readonly plainHttp?: (host: string) => boolean
  readonly userAgent?: string
  /** Connections to one host at once, beyond which requests wait; 16 where nothing is said. */
  readonly maxSockets?: number
  /** Used instead of the system's resolver, by whoever is careful about where names lead. */
  readonly lookup?: LookupFunction
}

const DEFAULT_IDLE_MS = 15_000

/** A connection pool; `close` it, or the process waits for its idle sockets. */
export function openHttp(options: HttpOptions = {}): Http {
  const agents = new Map<string, Agent>()
  const agentFor = ({ url: { protocol }, bulk = false }: HttpRequest): Agent => {
    const name = bulk ? `bulk ${protocol}` : protocol
    const known = agents.get(name)
    if (known !== undefined) return known
    const made = makeAgent(protocol, options)
    if (bulk) readByIntakes(made)
    agents.set(name, made)
    return made
  }
  return {
    async send(request) {
      refusePlainHttp(request.url, options)
      return await exchange(request, agentFor(request), options.userAgent ?? 'tagseal')
    },
    close() {
      for (const agent of agents.values()) agent.destroy()
      agents.clear()
    },
  }
}

/** Reads a body whole. Throws TOO_LARGE as soon as it is known: by the announced length, or by the byte too many. */
export async function readBody(response: HttpResponse, maxBytes: number, what: string): Promise<Uint8Array> {
  const announced = Number(response.header('content-length') ?? 0)
  if (announced > maxBytes) {
    response.discard()
    throw new HttpError('TOO_LARGE', { what, limit: maxBytes })
  }
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of response.body) {
    size += part.length
    if (size > maxBytes) {
      response.discard()
      throw new HttpError('TOO_LARGE', { what, limit: maxBytes })
    }
    parts.push(part)
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, size)
}

/** `localhost`, 127.0.0.0/8 and ::1: the only hosts plain http may reach without being named. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

function makeAgent(protocol: string, { ca, lookup, maxSockets = 16 }: HttpOptions): Agent {
  const kept = { keepAlive: true, maxSockets, scheduling: 'lifo' } as const
  const common: AgentOptions = lookup === undefined ? kept : { ...kept, lookup }
  if (protocol === 'http:') return new (plain().Agent)(common)
  // Said, for Node goes by NODE_TLS_REJECT_UNAUTHORIZED else: who sets it for another program must not open this one.
  const judged = { ...common, rejectUnauthorized: true }
  return new (secure().Agent)(ca === undefined ? judged : { ...judged, ca })
}

function refusePlainHttp(url: URL, { plainHttp }: HttpOptions): void {
  if (url.protocol === 'https:') return
  if (url.protocol !== 'http:') throw new HttpError('SCHEME_REFUSED', { url: url.origin })
  if (isLoopback(url.hostname) || plainHttp?.(url.host) === true) return
  throw new HttpError('PLAIN_HTTP_REFUSED', { host: url.host })
}

function exchange(request: HttpRequest, agent: Agent, userAgent: string): Promise<HttpResponse> {
  const { url, signal, body } = request
  const where = `${url.origin}${url.pathname}`
  const idle = request.idleTimeout ?? DEFAULT_IDLE_MS
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(asError(signal.reason))
      return
    }
    const outgoing = (url.protocol === 'http:' ? plain() : secure()).request(optionsOf(request, agent, userAgent))
    let answer: IncomingMessage | undefined
    // Once there is an answer, its reader must get the reason; ending the request alone would tell it of a reset.
    const end = (reason: Error) => (answer ?? outgoing).destroy(reason)
    const abort = () => end(asError(signal?.reason))
    signal?.addEventListener('abort', abort, { once: true })
    outgoing.setTimeout(idle, () => end(new HttpError('TIMEOUT', { url: where, milliseconds: idle })))
    outgoing.on('error', (error) => reject(networkError(error, where)))
    outgoing.on('close', () => {
      signal?.removeEventListener('abort', abort)
      // Whatever else ends a request without an answer, such as one that leaves HTTP, must not leave us waiting.
      reject(new HttpError('NETWORK', { url: where, reason: 'ECONNRESET' }))
    })
    outgoing.on('response', (incoming) => {
      answer = incoming
      resolve(responseOf(incoming, where))
    })
    // One write for the headers and all of the body: each costs a trip to the kernel, and wakes the other side.
    outgoing.cork()
    for (const part of chunksOf(body)) outgoing.write(part)
    outgoing.end()
    outgoing.uncork()
  })
}

/** `url.pathname` goes out as it is written: decoding it could name another resource. */
function optionsOf({ url, method, headers, body }: HttpRequest, agent: Agent, userAgent: string): RequestOptions {
  const length = chunksOf(body).reduce((sum, part) => sum + part.length, 0)
  return {
    agent,
    method: method ?? 'GET',
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.protocol === 'https:' ? { servername: serverName(url) } : {}),
    port: url.port,
    path: url.pathname + url.search,
    headers: {
      host: url.host,
      'user-agent': userAgent,
      accept: '*/*', // without it a server of ours takes us for a client of Notary v1
      'accept-encoding': 'identity',
      ...(body === undefined ? {} : { 'content-length': String(length) }),
      ...headers,
    },
  }
}

/**
 * What a certificate is chosen by, which an address is not (RFC 6066 3). Node finds that out itself, from the header, and
 * takes most of a millisecond; a URL has its addresses in one form.
 */
function serverName({ hostname }: URL): string {
  return hostname.startsWith('[') || /^[\d.]+$/.test(hostname) ? '' : hostname
}

function chunksOf(body: HttpRequest['body']): readonly Uint8Array[] {
  if (body === undefined) return []
  return body instanceof Uint8Array ? [body] : body
}

function responseOf(incoming: IncomingMessage, where: string): HttpResponse {
  return {
    status: incoming.statusCode ?? 0,
    header: (name) => incoming.headersDistinct[name]?.join(', '),
    headerValues: (name) => incoming.headersDistinct[name] ?? [],
    body: readChunks(takeBody(incoming) ?? partsOf(incoming), where),
    discard: () => {
      incoming.destroy()
    },
  }
}

async function* readChunks(
  incoming: AsyncIterable<Uint8Array>,
  where: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const part of incoming) yield part
  } catch (error) {
    throw networkError(asError(error), where)
  }
}

/**
 * What the stream's own iterator gives, in a fifth of the time that one takes to set up: most answers are one small part,
 * and a short command waits for each of them.
 */
async function* partsOf(incoming: IncomingMessage): AsyncGenerator<Uint8Array, void, undefined> {
  let wake = () => {}
  let failure: Error | undefined
  const stir = () => wake()
  incoming.on('error', (error) => {
    failure = error
    stir()
  })
  incoming.on('readable', stir).on('end', stir).on('close', stir)
  try {
    while (failure === undefined && !incoming.readableEnded) {
      const part: unknown = incoming.read()
      if (part instanceof Uint8Array) yield part
      else if (incoming.destroyed) throw incoming.errored ?? new Error('ECONNRESET')
      else await new Promise<void>((resolve) => (wake = resolve))
    }
    if (failure !== undefined) throw failure
  } finally {
    if (!incoming.readableEnded) incoming.destroy()
  }
}

function networkError(error: Error, where: string): Error {
  if (error instanceof HttpError || error.name === 'AbortError' || error.name === 'TimeoutError') return error
  const reason = 'code' in error && typeof error.code === 'string' ? error.code : error.message
  return new HttpError('NETWORK', { url: where, reason }, { cause: error })
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
