/**
 * Answers without an application: for what is in memory, asked for in the plainest way, which is nearly everything that
 * a trust server is asked. The way through routes and hooks costs more than such an answer.
 */
import type { IncomingMessage, OutgoingHttpHeaders, RequestListener, ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { Answered } from './request-log.ts'

/** Nothing but the id of the request is added to it. */
export type Ready = {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  /** Text has a character for each byte. */
  readonly body: Buffer | string | undefined
}

/** What a route answers ahead of itself, just as it would. */
export type Ahead = {
  readonly route: string
  /** Asked when a request arrives; cheap. All others take their usual way at once. */
  readonly concerns: (request: IncomingMessage) => boolean
  /**
   * Asked once for all requests that have arrived by then: what it gives finds what is true from that moment on, and is
   * not kept. Undefined for what shall take the usual way.
   */
  readonly look: () => (request: IncomingMessage) => Ready | undefined
}

/** What it has in common with the application. */
export type Common = {
  readonly requestId: (request: IncomingMessage) => string
  readonly log: (answered: Answered) => void
  /** Whether connections shall end after what is answered now: the usual way says so. */
  readonly closing: () => boolean
}
type Waiting = { readonly request: IncomingMessage; readonly response: ServerResponse; readonly began: number }

/**
 * In front of the listener who answers everything. Requests wait until all that the kernel had for us was read, and no
 * longer: then it is looked once for all of them, after the last one arrived.
 */
export function answeringAhead(ahead: Ahead, { requestId, log, closing }: Common, usual: RequestListener) {
  let waiting: Waiting[] = []
  return (request: IncomingMessage, response: ServerResponse): void => {
    if (!ahead.concerns(request)) return usual(request, response)
    waiting.push({ request, response, began: performance.now() })
    // Over TLS the end of the connection may have been read with the request, and nothing can be sent after it.
    if (request.socket instanceof TLSSocket) return answerAll()
    if (waiting.length === 1) setImmediate(answerAll)
  }

  function answerAll(): void {
    const all = waiting
    waiting = []
    const find = closing() ? undefined : attempt(ahead.look)
    for (const each of all) answer(each, find)
  }

  function answer(each: Waiting, find: ReturnType<Ahead['look']> | undefined): void {
    const { request, response } = each
    if (request.socket.destroyed) return record(each, requestId(request), undefined)
    const ready = find && attempt(() => find(request))
    if (ready === undefined) return usual(request, response)
    return send(each, requestId(request), ready)
  }

  function send(each: Waiting, id: string, { status, headers, body }: Ready): void {
    const { request, response } = each
    response.writeHead(status, { 'x-request-id': id, ...headers })
    response.end(body, 'latin1')
    const taken = response.socket !== null && response.writableLength === 0 && request.socket.errored === null
    if (taken) return record(each, id, status)
    // The kernel did not take all of it. Then it is over when it did, or when the caller went.
    let over = false
    const settle = (how: number | undefined) => {
      if (!over) record(each, id, how)
      over = true
    }
    response.once('finish', () => settle(status))
    return void request.once('close', () => settle(undefined))
  }

  function record({ request, began }: Waiting, id: string, status: number | undefined): void {
    const { method, url = '/' } = request
    const ms = status === undefined ? undefined : performance.now() - began
    log({ id, method, url, route: ahead.route, status, ms, by: undefined })
  }
}

/** What fails here fails on the usual way again, where the caller is told and the log has it. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
