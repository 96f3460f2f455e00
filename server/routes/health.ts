import type { FastifyInstance } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { Problem } from '../problem.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { problems } from './schema.ts'

const OK = {
  type: 'object',
  required: ['status'],
  additionalProperties: false,
  properties: { status: { type: 'string', enum: ['ok'] } },
} as const
const EMPTY = { type: 'object', additionalProperties: false, properties: {} } as const

const ping = {
  operationId: 'ping',
  tags: ['trust'],
  summary: 'That this is a registry-style server, and whether reading needs a token.',
  security: [{}, { token: [] }],
  response: { 200: { description: 'Yes.', ...EMPTY }, ...problems('UNAUTHORIZED', 'DENIED') },
} as const
const healthz = {
  operationId: 'alive',
  tags: ['operation'],
  summary: 'The process runs.',
  security: [],
  response: { 200: { description: 'It does.', ...OK }, ...problems() },
} as const
const readyz = {
  operationId: 'ready',
  tags: ['operation'],
  summary: 'Storage answers, and the signing keys in it can be opened.',
  security: [],
  response: { 200: { description: 'They do.', ...OK }, ...problems('UNAVAILABLE') },
} as const
const metricsSchema = {
  operationId: 'metrics',
  tags: ['operation'],
  summary: 'Figures in the text format of Prometheus.',
  security: [],
  produces: ['text/plain'],
  response: { 200: { description: 'The figures.', type: 'string' }, ...problems() },
} as const

/** `GET /v2/`, `/healthz`, `/readyz`, `/metrics`. */
export function healthRoutes(app: FastifyInstance, { auth, settings, notReady, metrics }: AppDeps): void {
  app.get('/v2/', { schema: ping }, async (request, reply) => {
    const caller = await callerOf(auth, request)
    if (settings.private && caller.name === undefined && !settings.open) requireAction(caller, 'pull')
    return reply.header('cache-control', 'no-store').send({})
  })
  app.get('/healthz', { schema: healthz }, async (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ status: 'ok' }),
  )
  app.get('/readyz', { schema: readyz }, async (_request, reply) => {
    const reason = await notReady()
    if (reason !== undefined) throw new Problem('UNAVAILABLE', { reason })
    return reply.header('cache-control', 'no-store').send({ status: 'ok' })
  })
  app.get('/metrics', { schema: metricsSchema }, async (_request, reply) =>
    reply
      .header('cache-control', 'no-store')
      .type(metrics.contentType)
      .send(await metrics.text()),
  )
}
