import { LogController, fastify } from 'fastify'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify'
import type { RequestListener } from 'node:http'
import type { Logger } from 'pino'
import { toBase64 } from '../../keys/bytes.ts'
import { makeRequestIds, openServer } from '../frame.ts'
import { useLateSchemas } from '../late-schemas.ts'
import { shownError } from '../log.ts'
import { isProblem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import { refuseBrokenRequests } from '../serve/broken-requests.ts'
import { isStorageError } from '../storage/errors.ts'
import type { OnlineRole } from '../storage/store.ts'
import type { TlsFiles } from '../tls.ts'
import type { SignerSettings } from './config.ts'
import type { SignerMetrics } from './metrics.ts'
import { Refusal, isRefusal } from './refusal.ts'
import { KEY_REQUEST, PUBLISHED, SIGN_REQUEST } from './schemas.ts'
import type { SigningService, SignRequest } from './signing.ts'

export type SignerDeps = {
  readonly settings: SignerSettings
  readonly service: SigningService
  readonly metrics: SignerMetrics
  readonly logger: Logger
  /** Why no signature can be had now; undefined when one can. */
  readonly notReady: () => Promise<string | undefined>
}

/** Escaped, a file has at most twice its length; and there is something around it. */
const AROUND = 64 * 1024

/** What a web server may ask of its signer: HTTP with JSON, and three questions. Not yet listening. */
export function buildSigner(deps: SignerDeps, tls?: TlsFiles): FastifyInstance {
  const app = fastify(optionsOf(deps, tls))
  useLateSchemas(app)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, app.getDefaultJsonParser('error', 'error'))
  app.setErrorHandler((error, request, reply) => answerRefusal(deps, error, request, reply))
  app.setNotFoundHandler((request, reply) =>
    answerRefusal(deps, new Refusal('NOT_FOUND', { what: 'such address' }), request, reply),
  )
  useBudget(app, deps.settings.maxAtOnce)
  signRoutes(app, deps)
  healthRoutes(app, deps)
  return app
}

function optionsOf({ settings, logger }: SignerDeps, tls: TlsFiles | undefined): FastifyServerOptions {
  return {
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }), // what was asked for is in the audit lines
    childLoggerFactory: (parent) => parent,
    genReqId: makeRequestIds(),
    bodyLimit: AROUND,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    clientErrorHandler: refuseBrokenRequests(settings),
    serverFactory: (handler: RequestListener) => openServer(settings, handler, { tls }),
  }
}

type Purpose = { readonly repository: string; readonly role: OnlineRole }

function signRoutes(app: FastifyInstance, { service, logger, metrics, settings }: SignerDeps): void {
  const bodyLimit = 2 * settings.maxSnapshot + AROUND
  app.post<{ Body: SignRequest }>('/v1/signatures', { schema: SIGN_REQUEST, bodyLimit }, async ({ body, id }) => {
    repositoryName(body.repository)
    const { signature, version, sha256 } = await service.sign(body)
    const { repository, role, keyid } = body
    metrics.signed(role)
    logger.info({ audit: 'signed', request: id, repository, role, version, keyid, sha256 }, 'signed')
    return { keyid: signature.keyid, sig: toBase64(signature.sig), version }
  })
  app.post<{ Body: Purpose & { unused?: boolean } }>('/v1/keys', { schema: KEY_REQUEST }, async ({ body, id }) => {
    const { repository, role, unused = false } = body
    const key = await service.make({ repository: repositoryName(repository), role, unused })
    const { keyid, keytype, scheme } = key
    logger.info({ audit: 'key', request: id, repository, role, keyid }, 'gave a key')
    return { keyid, keytype, scheme, public: key.public }
  })
  app.post<{ Body: Purpose & { keyid: string; version: number } }>(
    '/v1/published',
    { schema: PUBLISHED },
    async ({ body }) => {
      await service.published(body)
      return {}
    },
  )
}

function healthRoutes(app: FastifyInstance, { notReady, metrics }: SignerDeps): void {
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', async () => {
    const reason = await notReady()
    if (reason !== undefined) throw new Refusal('UNAVAILABLE', { reason })
    return { status: 'ok' }
  })
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()))
}

/** Of all bodies that are in memory at once. One that does not say how long it is counts for the longest. */
function useBudget(app: FastifyInstance, most: number): void {
  let taken = 0
  const takenBy = new WeakMap<FastifyRequest, number>()
  app.addHook('onRequest', (request, _reply, done) => {
    const bytes =
      request.method === 'GET' ? 0 : Number(request.headers['content-length'] ?? request.routeOptions.bodyLimit)
    if (taken + bytes > most) return done(new Refusal('TOO_MANY_REQUESTS', { what: 'bytes' }))
    taken += bytes
    takenBy.set(request, bytes)
    return done()
  })
  const give = (request: FastifyRequest) => {
    taken -= takenBy.get(request) ?? 0
    takenBy.delete(request)
  }
  app.addHook('onResponse', (request, _reply, done) => {
    give(request)
    done()
  })
  app.addHook('onRequestAbort', (request, done) => {
    give(request)
    done()
  })
}

/** Every refusal is a line of the audit, with what it was about as far as that can be told. */
function answerRefusal(
  { logger, metrics }: SignerDeps,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const refusal = refusalOf(error, request)
  const { code, message, detail, status } = refusal
  const level = status >= 500 ? 'error' : 'warn'
  metrics.refused(code)
  logger[level](
    {
      audit: 'refused',
      request: request.id,
      url: request.url.slice(0, 200),
      ...subjectOf(request.body),
      code,
      detail,
      ...(code === 'INTERNAL' ? { err: error } : behind(refusal)),
    },
    message,
  )
  return reply.code(status).send({ errors: [{ code, message, detail }] })
}

function behind({ cause }: Refusal): object {
  return cause === undefined ? {} : { cause: shownError(cause) }
}

function refusalOf(error: unknown, request: FastifyRequest): Refusal {
  if (isRefusal(error)) return error
  if (isStorageError(error)) {
    return new Refusal('STORAGE_UNAVAILABLE', { reason: 'what was signed cannot be written down' }, { cause: error })
  }
  if (isProblem(error)) return new Refusal('INVALID_REQUEST', { reason: error.message })
  const { statusCode, validation, message } = (error instanceof Error ? error : {}) as Partial<FastifyError>
  if (statusCode === 413)
    return new Refusal('TOO_LARGE', { what: 'the body', limit: request.routeOptions.bodyLimit ?? 0 })
  if (statusCode === 415) return new Refusal('UNSUPPORTED_MEDIA_TYPE', { wanted: 'application/json' })
  const theirs = validation !== undefined || (statusCode !== undefined && statusCode < 500)
  if (theirs) return new Refusal('INVALID_REQUEST', { reason: String(message).slice(0, 200) })
  return new Refusal('INTERNAL', { request: request.id })
}

/** Of a body that may be anything. */
function subjectOf(body: unknown): Readonly<Record<string, string>> {
  if (typeof body !== 'object' || body === null) return {}
  const texts = Object.entries(body).filter(([name, value]) => SUBJECT.has(name) && typeof value === 'string')
  return Object.fromEntries(texts.map(([name, value]) => [name, String(value).slice(0, 255)]))
}
const SUBJECT: ReadonlySet<string> = new Set(['repository', 'role', 'keyid', 'dialect'])
