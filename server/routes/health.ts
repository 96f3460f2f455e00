import type { FastifyInstance } from 'fastify'
import { Problem } from '../problem.ts'
import { isStorageError } from '../storage/errors.ts'
import type { AppDeps } from './deps.ts'
import { problems } from './schema.ts'

const OK = {
  type: 'object',
  required: ['status'],
  additionalProperties: false,
  properties: { status: { type: 'string', enum: ['ok'] } },
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
const notary = {
  operationId: 'notaryHealth',
  tags: ['operation'],
  summary: 'What readyz says, where notary-server says it.',
  security: [],
  response: {
    200: { description: 'All is well.', type: 'object', additionalProperties: false, properties: {} },
    ...problems(),
    503: {
      description: 'What is not, and why.',
      type: 'object',
      additionalProperties: { type: 'string' },
    },
  },
} as const
const metricsSchema = {
  operationId: 'metrics',
  tags: ['operation'],
  summary: 'Figures in the text format of Prometheus.',
  security: [],
  produces: ['text/plain'],
  response: { 200: { description: 'The figures.', type: 'string' }, ...problems() },
} as const

/** `GET /healthz`, `/readyz`, `/_notary_server/health`, `/metrics`. */
export function healthRoutes(app: FastifyInstance, { notReady, metrics }: AppDeps): void {
  app.get('/healthz', { schema: healthz }, async (_request, reply) =>
    reply.header('cache-control', 'no-store').send({ status: 'ok' }),
  )
  app.get('/readyz', { schema: readyz }, async (_request, reply) => {
    const reason = await notReady()
    if (reason !== undefined) throw new Problem('UNAVAILABLE', { reason })
    return reply.header('cache-control', 'no-store').send({ status: 'ok' })
  })
  app.get('/_notary_server/health', { schema: notary }, async (_request, reply) => {
    const wrong = await illnesses(notReady)
    return reply
      .code(Object.keys(wrong).length === 0 ? 200 : 503)
      .header('cache-control', 'no-store')
      .send(wrong)
  })
  app.get('/metrics', { schema: metricsSchema }, async (_request, reply) =>
    reply
      .header('cache-control', 'no-store')
      .type(metrics.contentType)
      .send(await metrics.text()),
  )
}

/** By the names of the checks that `notary-server` makes. */
async function illnesses(notReady: AppDeps['notReady']): Promise<Readonly<Record<string, string>>> {
  try {
    const reason = await notReady()
    return reason === undefined ? {} : { 'Trust operational': reason }
  } catch (error) {
    if (!isStorageError(error)) throw error
    return { 'DB operational': error.code }
  }
}
