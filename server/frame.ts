/** What every process of ours that speaks HTTP has in common: limits, request ids, the log line, how errors are told. */
import { randomName } from '../keys/random.ts'
import { LogController, fastify } from 'fastify'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify'
import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Logger } from 'pino'
import { challengeOf } from './auth/challenge.ts'
import { withoutTokens } from './auth/tokens.ts'
import type { Settings } from './config.ts'
import { useLateSchemas } from './late-schemas.ts'
import { shownError } from './log.ts'
import type { Metrics } from './metrics.ts'
import { notaryAnswer } from './notary-problem.ts'
import { Problem, bodyOf, problemOf } from './problem.ts'
import { nameOfCaller } from './routes/caller.ts'
import { wantsNotary } from './serve/notary-caller.ts'
import { answeringAhead } from './serve/ahead.ts'
import type { Ahead, Common } from './serve/ahead.ts'
import { refuseBrokenRequests } from './serve/broken-requests.ts'
import { makeRequestLog } from './serve/request-log.ts'
import type { Answered } from './serve/request-log.ts'
import type { Dialect, MetadataStore } from './storage/store.ts'
import { rewriteUrl } from './serve/rewrite-url.ts'
import type { TlsFiles } from './tls.ts'

/** A JSON body, in bytes. */
const MAX_JSON = 64 * 1024

/** What it works with; the services of the whole server are a part of it. */
export type FrameDeps = {
  readonly settings: Settings
  readonly store: { readonly metadata: Pick<MetadataStore, 'dialect'> }
  readonly metrics: Pick<Metrics, 'request' | 'conflict'>
  readonly logger: Logger
}

/** How requests come in. */
export type Door = {
  readonly tls?: TlsFiles | undefined
  /** From our own readers, which tell the caller's address (ADR 0031). */
  readonly inside?: boolean
  /** In place of those of the settings. */
  readonly limits?: Partial<SocketLimits>
  /** Whether it takes the request itself, before the application sees it; `back` gives it back. */
  readonly take?: (request: IncomingMessage, response: ServerResponse, back: () => void) => boolean
  /** What is answered without the application, as it would. */
  readonly ahead?: Ahead | undefined
}
export type SocketLimits = Pick<
  Settings,
  'maxHeaderBytes' | 'headersTimeout' | 'requestTimeout' | 'keepAliveTimeout' | 'maxConnections'
>

/** An application without routes. */
export function openFrame(deps: FrameDeps, door: Door = {}): FastifyInstance {
  const requestId = makeRequestIds()
  const log = makeRequestLog(deps)
  let closing = false
  const common = { requestId, log, closing: () => closing }
  const app = fastify(optionsOf(deps, door, common))
  useLateSchemas(app)
  app.addHook('preClose', (done) => {
    closing = true
    done()
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, app.getDefaultJsonParser('error', 'error'))
  useRequestId(app)
  useRequestLog(app, log)
  useProblems(app, deps)
  return app
}

function optionsOf(deps: FrameDeps, door: Door, common: Common): FastifyServerOptions {
  const { settings, logger } = deps
  const { ahead } = door
  return {
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }), // one line per request, once it is answered
    childLoggerFactory: (parent) => parent,
    genReqId: common.requestId,
    rewriteUrl: (request) => rewriteUrl(request.url ?? '/'),
    routerOptions: { maxParamLength: 2048 },
    bodyLimit: MAX_JSON, // of JSON; uploads are counted where they are read
    return503OnClosing: false, // what arrives while we drain is still answered; readyz says to go elsewhere
    forceCloseConnections: 'idle',
    clientErrorHandler: refuseBrokenRequests(settings),
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      void answerError(deps, error, request, reply),
    serverFactory: (handler: RequestListener) =>
      openServer(settings, ahead === undefined ? handler : answeringAhead(ahead, common, handler), door),
    ...(door.inside === true ? { trustProxy: (_address: string, hop: number) => hop === 0 } : {}),
  }
}

/** A server on which no connection lives without doing something. */
export function openServer(
  settings: SocketLimits,
  handler: RequestListener,
  { tls, limits, take, inside = false }: Door,
): Server {
  const { maxHeaderBytes, headersTimeout, requestTimeout, keepAliveTimeout, maxConnections } = {
    ...settings,
    ...limits,
  }
  const options = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: Math.min(headersTimeout, requestTimeout) * 1000, // they are part of the request
    requestTimeout: requestTimeout * 1000,
    keepAliveTimeout: keepAliveTimeout * 1000,
    connectionsCheckingInterval: 1000,
    requireHostHeader: !inside, // who speaks HTTP/1.0 has none, and comes from a reader in HTTP/1.1
  }
  const listener = take === undefined ? handler : takingFirst(take, handler)
  const server =
    tls === undefined
      ? createServer(options, listener)
      : createTlsServer({ ...options, minVersion: 'TLSv1.2', ...tls }, listener)
  // Nor may an answer lie about for longer that nobody takes: a few thousand of those would be all connections.
  server.timeout = (requestTimeout + 2) * 1000 // after the 408 for a request that does not come
  server.maxConnections = maxConnections
  return server
}

function takingFirst(take: NonNullable<Door['take']>, handler: RequestListener): RequestListener {
  return (request, response) => {
    const back = () => handler(request, response)
    if (!take(request, response, back)) back()
  }
}

/** A caller's own id is kept where it is harmless in a log; ours are a random start and a count, unique and cheap. */
export function makeRequestIds(): (request: IncomingMessage) => string {
  const start = randomName().slice(0, 8)
  let count = 0
  return ({ headers }) => {
    const given = headers['x-request-id']
    return typeof given === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(given) && withoutTokens(given) === given
      ? given
      : `${start}-${(++count).toString(36)}`
  }
}

function useRequestId(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id)
    done()
  })
}

function useRequestLog(app: FastifyInstance, log: (answered: Answered) => void): void {
  const over = (request: FastifyRequest, reply: FastifyReply | undefined) => {
    const { id, method, originalUrl: url, routeOptions } = request
    const by = nameOfCaller(request)
    log({ id, method, url, route: routeOptions.url, status: reply?.statusCode, ms: reply?.elapsedTime, by })
  }
  app.addHook('onResponse', (request, reply, done) => {
    over(request, reply)
    done()
  })
  app.addHook('onRequestAbort', (request, done) => {
    over(request, undefined)
    done()
  })
}

function useProblems(app: FastifyInstance, deps: FrameDeps): void {
  app.setErrorHandler((error, request, reply) => answerError(deps, error, request, reply))
  app.setNotFoundHandler((request, reply) => {
    const path = request.originalUrl.split('?', 1).join('').slice(0, 200)
    return answer(deps, request, reply, new Problem('NOT_FOUND', { what: `${request.method} ${path}` }))
  })
}

/** What nobody foresaw is logged whole under the request's id, and the caller is told that id and nothing else. */
function answerError(deps: FrameDeps, error: unknown, request: FastifyRequest, reply: FastifyReply) {
  const { logger, metrics, settings } = deps
  const problem = problemOf(error) ?? fromFastify(error)
  if (problem?.code === 'VERSION' || problem?.code === 'SNAPSHOT_CHANGED') metrics.conflict()
  const shown = problem === undefined ? { err: error } : shownError(error)
  if (problem === undefined || problem.status >= 500) logger.error({ request: request.id, ...shown }, 'failed')
  if (problem?.code === 'UNAUTHORIZED') void reply.header('www-authenticate', challengeOf(settings, request, problem))
  return answer(deps, request, reply, problem ?? new Problem('INTERNAL', { request: request.id }))
}

async function answer(
  deps: FrameDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  problem: Problem,
): Promise<FastifyReply> {
  // A path that cannot be read is nobody's repository.
  const trust = request.originalUrl.startsWith('/v2') && request.params !== null && request.params !== undefined
  const notary = trust && wantsNotary(request.headers, await dialectOf(deps, request.params))
  const { status, body } = notary ? notaryAnswer(problem) : { status: problem.status, body: bodyOf(problem) }
  // For readers of either dialect, whose words for it differ.
  if (problem.code === 'RESTORED') void reply.header('x-tagseal-refusal', problem.code)
  if (problem.code === 'TOO_MANY_REQUESTS') void reply.header('retry-after', '1')
  return reply.code(status).removeHeader('etag').header('cache-control', 'no-store').type('application/json').send(body)
}

/** undefined as well where the storage fails, for that may be the very news. */
async function dialectOf({ store }: FrameDeps, params: unknown): Promise<Dialect | undefined> {
  if (typeof params !== 'object' || params === null || !('repository' in params)) return undefined
  try {
    return await store.metadata.dialect(String(params.repository))
  } catch {
    return undefined
  }
}

/** Fastify's own refusals of a request; each is a mistake of the caller's. */
function fromFastify(error: unknown): Problem | undefined {
  if (!(error instanceof Error)) return undefined
  const { statusCode, validation } = error as Partial<FastifyError>
  if (validation !== undefined) return new Problem('INVALID_REQUEST', { reason: error.message })
  if (statusCode === 413) return new Problem('TOO_LARGE', { what: 'the body', limit: MAX_JSON })
  if (statusCode === 415) return new Problem('UNSUPPORTED_MEDIA_TYPE', { wanted: 'application/json' })
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new Problem('INVALID_REQUEST', { reason: error.message.slice(0, 200) })
  }
  return undefined
}
