import { Agent, request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { makeLines } from './lines.ts'

export type Forwarder = {
  /**
   * Passes a request on and its answer back, both as they come: nothing is kept here. `failed` is called where the main
   * process cannot be asked and nothing was answered yet.
   */
  readonly forward: (request: IncomingMessage, response: ServerResponse, failed: (cause: Error) => void) => void
  readonly close: () => void
}

/** The main process hangs up on no idle connection: these are the ones who do, so that none is used that just ends. */
const IDLE_MS = 30_000
export const MOST_IDLE = 32
/** An upload as most are, in bytes. Larger ones are streamed, and whoever sends one slowly is not waited for here. */
const SHORT = 16 * 1024

/** To whoever listens on this socket of the file system. `closing`: the caller's connection shall not be used again. */
export function makeForwarder(socketPath: string, closing: () => boolean): Forwarder {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: MOST_IDLE / 2, timeout: IDLE_MS, scheduling: 'lifo' })
  const lines = makeLines({ socketPath, most: MOST_IDLE / 2, idleMs: IDLE_MS })
  const inTurn = makeTurns()
  return {
    forward(request, response, failed) {
      inTurn(request, response, () => {
        if (!isShort(request)) return pass(request, response, failed)
        // By then its body was read if it came along with the headers.
        setImmediate(() => {
          if (response.destroyed) return
          if (!passWhole(request, response, failed)) pass(request, response, failed)
        })
      })
    },
    close() {
      agent.destroy()
      lines.close()
    },
  }

  /** False where it has not come whole, or has something in it that another reading could take for the end of a line. */
  function passWhole(request: IncomingMessage, response: ServerResponse, failed: (cause: Error) => void): boolean {
    const head = wholeHead(request)
    if (head === undefined) return false
    const body: unknown = request.read()
    const stop = lines.ask(Buffer.concat([head, body instanceof Uint8Array ? body : new Uint8Array()]), {
      failed,
      answered({ status, reason, headers, body: answer }) {
        response.writeHead(status, reason, headersBack(headers, closing()))
        response.end(answer)
      },
    })
    response.on('close', () => {
      if (!response.writableFinished) stop()
    })
    return true
  }

  function pass(request: IncomingMessage, response: ServerResponse, failed: (cause: Error) => void): void {
    const { method, url } = request
    let outgoing: ClientRequest
    try {
      const headers = headersTo(request)
      outgoing = httpRequest({ socketPath, agent, setHost: false, method, path: url, headers })
    } catch (cause) {
      failed(cause instanceof Error ? cause : new Error(String(cause)))
      return
    }
    outgoing.on('response', (answer) => sendBack(answer, response, closing()))
    outgoing.on('error', (cause) => {
      if (response.destroyed) return // it was the caller who went
      if (response.headersSent) response.destroy()
      else failed(cause)
    })
    whenTheCallerGoes(request, response, () => outgoing.destroy())
    // Nobody reads any more what the caller still sends.
    outgoing.on('close', () => {
      if (response.headersSent && !request.complete) request.destroy()
    })
    if (hasBody(request)) request.pipe(outgoing)
    else outgoing.end()
  }
}

/**
 * One of a caller's connection at a time: who sends many requests without waiting for answers would otherwise have as
 * many connections to the main process, and leave none for others.
 */
function makeTurns(): (request: IncomingMessage, response: ServerResponse, go: () => void) => void {
  const last = new WeakMap<Socket, ServerResponse>()
  return ({ socket }, response, go) => {
    const before = last.get(socket)
    last.set(socket, response)
    if (before === undefined || before.writableFinished) return go()
    before.once('close', () => {
      if (!socket.destroyed) go()
    })
  }
}

function whenTheCallerGoes(request: IncomingMessage, response: ServerResponse, stop: () => void): void {
  response.on('close', () => {
    if (!response.writableFinished) stop()
  })
  request.on('close', () => {
    if (!request.complete) stop()
  })
}

function sendBack(answer: IncomingMessage, response: ServerResponse, closing: boolean): void {
  const { statusCode = 500, statusMessage = '', rawHeaders } = answer
  response.writeHead(statusCode, statusMessage, headersBack(pairsOf(rawHeaders), closing))
  answer.on('error', () => response.destroy())
  answer.pipe(response)
}

function headersBack(pairs: readonly Pair[], closing: boolean): string[] {
  const last = closing || pairs.some(([name, value]) => name.toLowerCase() === 'connection' && value === 'close')
  const kept = pairs.filter(([name]) => !OF_ONE_CONNECTION.has(name.toLowerCase()))
  return [...kept, ...(last ? [['connection', 'close']] : [])].flat()
}

/** Uploads: their answers have a length, and nobody reads them bit by bit. */
function isShort({ method, headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return (
    method === 'POST' && headers['transfer-encoding'] === undefined && length !== undefined && Number(length) <= SHORT
  )
}

/** The request line and the headers; undefined for what has not come to its end, or cannot be written as it is. */
function wholeHead(request: IncomingMessage): Buffer | undefined {
  const { complete, readableLength, headers, method, url = '/' } = request
  if (!complete || readableLength !== Number(headers['content-length'])) return undefined
  const all = headersTo(request)
  let head = `${method} ${url} HTTP/1.1\r\n`
  for (let i = 0; i + 1 < all.length; i += 2) head += `${all[i]}: ${all[i + 1]}\r\n`
  return LINES.test(head) && !/[\t ]/.test(url) ? Buffer.from(`${head}\r\n`, 'latin1') : undefined
}
const LINES = /^(?:[\t\x20-\x7e\x80-\xff]+\r\n)+$/

/** These are about the connection that they came on (RFC 9110 7.6.1). */
const OF_ONE_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** And these the main process believes, because it is us who say them. */
const OURS: ReadonlySet<string> = new Set([
  'content-length',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
])

/** Ours come first: a parser that has read a thousand headers passes over the rest. */
function headersTo(request: IncomingMessage): string[] {
  const kept = pairsOf(request.rawHeaders).filter(([name]) => {
    const lower = name.toLowerCase()
    return !OF_ONE_CONNECTION.has(lower) && !OURS.has(lower)
  })
  const caller = request.socket.remoteAddress
  const told = caller === undefined ? [] : [['x-forwarded-for', caller]]
  return [...told, ...framingOf(request), ...kept].flat()
}

/**
 * The body goes on framed as it came, and as it is passed on: both by what was parsed, for among the raw headers may be a
 * length that was not. Without either, Node would announce chunks for some methods, and for others send a body that
 * nothing announces. All of these are how requests are smuggled.
 */
function framingOf({ headers, method = 'GET' }: IncomingMessage): readonly (readonly [string, string])[] {
  const length = headers['content-length']
  if (headers['transfer-encoding'] !== undefined) return [['transfer-encoding', 'chunked']]
  if (length !== undefined) return [['content-length', length]]
  return BODILESS.has(method) ? [] : [['content-length', '0']]
}
const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

type Pair = readonly [name: string, value: string]

function pairsOf(rawHeaders: readonly string[]): readonly Pair[] {
  const pairs: Pair[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) pairs.push([rawHeaders[i] ?? '', rawHeaders[i + 1] ?? ''])
  return pairs
}
