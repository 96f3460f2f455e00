import type { FastifyInstance } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { createToken, revokeToken } from '../auth/tokens.ts'
import { Problem } from '../problem.ts'
import type { Action, AuditEntry, TokenRecord } from '../storage/store.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { BODY_REFUSALS, INSTANT, LIMIT, NO_BODY, iso, limitOf, problems } from './schema.ts'

const ACTIONS = {
  type: 'array',
  minItems: 1,
  maxItems: 3,
  items: { type: 'string', enum: ['pull', 'push', 'admin'] },
} as const
const TOKEN_PROPERTIES = {
  id: { type: 'string' },
  name: { type: 'string' },
  repository: {
    type: 'string',
    description: 'Pattern of repository names: `*` is any text without a slash, `**` any text.',
  },
  actions: ACTIONS,
  createdAt: INSTANT,
  expiresAt: INSTANT,
  revokedAt: INSTANT,
  lastUsedAt: { ...INSTANT, description: 'To the minute or so.' },
} as const
const REQUIRED = ['id', 'name', 'repository', 'actions', 'createdAt'] as const

const list = {
  operationId: 'listTokens',
  tags: ['tokens'],
  summary: 'All tokens, revoked ones included, without their secrets, which nobody has any more.',
  security: [{ token: [] }],
  response: {
    200: {
      description: 'The tokens.',
      type: 'object',
      required: ['tokens'],
      additionalProperties: false,
      properties: {
        tokens: {
          type: 'array',
          items: { type: 'object', required: REQUIRED, additionalProperties: false, properties: TOKEN_PROPERTIES },
        },
      },
    },
    ...problems('UNAUTHORIZED', 'DENIED'),
  },
} as const

const create = {
  operationId: 'createToken',
  tags: ['tokens'],
  summary: 'A new token; the answer is the only place where it ever shows.',
  security: [{ token: [] }],
  body: {
    type: 'object',
    required: ['name', 'repository', 'actions'],
    additionalProperties: false,
    properties: {
      name: { type: 'string', minLength: 1, maxLength: 128 },
      repository: { type: 'string', minLength: 1, maxLength: 255 },
      actions: { ...ACTIONS, uniqueItems: true },
      expiresAt: { type: 'string', maxLength: 40, description: 'ISO 8601; without it the token lives until revoked.' },
    },
  },
  response: {
    201: {
      description: 'The token.',
      type: 'object',
      required: ['token', ...REQUIRED],
      additionalProperties: false,
      properties: { token: { type: 'string', pattern: '^tst_[A-Za-z0-9_-]{43}$' }, ...TOKEN_PROPERTIES },
    },
    ...problems('UNAUTHORIZED', 'DENIED', 'NAME_TAKEN', 'STORAGE_FULL', ...BODY_REFUSALS),
  },
} as const

const revoke = {
  operationId: 'revokeToken',
  tags: ['tokens'],
  summary: 'No request is let in by this token from now on.',
  security: [{ token: [] }],
  params: {
    type: 'object',
    required: ['token'],
    additionalProperties: false,
    properties: { token: { type: 'string', maxLength: 128, description: 'Id, or name of a live token.' } },
  },
  response: {
    204: { description: 'Revoked, now or before.', ...NO_BODY },
    ...problems('UNAUTHORIZED', 'DENIED', 'NOT_FOUND', 'STORAGE_FULL', ...BODY_REFUSALS),
  },
} as const

const audit = {
  operationId: 'listAudit',
  tags: ['operation'],
  summary: 'Who changed what, newest first.',
  security: [{ token: [] }],
  querystring: {
    type: 'object',
    additionalProperties: false,
    properties: { limit: LIMIT, before: { type: 'string', pattern: '^\\d{1,15}$' } },
  },
  response: {
    200: {
      description: 'One page.',
      type: 'object',
      required: ['entries'],
      additionalProperties: false,
      properties: {
        entries: {
          type: 'array',
          items: {
            type: 'object',
            required: ['id', 'at', 'action', 'subject'],
            additionalProperties: false,
            properties: {
              id: { type: 'integer' },
              at: INSTANT,
              actor: { type: 'string', description: 'Name of the token, or `command line`.' },
              action: { type: 'string' },
              subject: { type: 'string' },
              request: { type: 'string', description: 'Id of the request.' },
              detail: { type: 'object', additionalProperties: true },
            },
          },
        },
        next: { type: 'string' },
      },
    },
    ...problems('UNAUTHORIZED', 'DENIED'),
  },
} as const

type NewToken = { name: string; repository: string; actions: Action[]; expiresAt?: string }

/** `GET` and `POST /v1/tokens`, `DELETE /v1/tokens/:token`, `GET /v1/audit`: for a token with `admin` on `**`. */
export function tokenRoutes(app: FastifyInstance, { store, auth, clock }: AppDeps): void {
  app.get('/v1/tokens', { schema: list }, async (request, reply) => {
    requireAction(await callerOf(auth, request), 'admin')
    const tokens = await store.tokens.list()
    return reply.header('cache-control', 'no-store').send({ tokens: tokens.map(tokenOf) })
  })

  app.post<{ Body: NewToken }>('/v1/tokens', { schema: create }, async (request, reply) => {
    const caller = await callerOf(auth, request)
    requireAction(caller, 'admin')
    const { expiresAt, ...wanted } = request.body
    const expiry = expiresAt === undefined ? {} : { expiresAt: instantOf(expiresAt) }
    const act = { at: clock(), actor: caller.name ?? 'anybody', request: request.id }
    const { token, record } = await createToken(store, { ...wanted, ...expiry }, act)
    return reply
      .code(201)
      .header('cache-control', 'no-store')
      .send({ token, ...tokenOf(record) })
  })

  app.delete<{ Params: { token: string } }>('/v1/tokens/:token', { schema: revoke }, async (request, reply) => {
    const caller = await callerOf(auth, request)
    requireAction(caller, 'admin')
    const act = { at: clock(), actor: caller.name ?? 'anybody', request: request.id }
    await revokeToken(store, request.params.token, act)
    return reply.code(204).header('cache-control', 'no-store').send()
  })

  app.get<{ Querystring: { limit?: string; before?: string } }>(
    '/v1/audit',
    { schema: audit },
    async (request, reply) => {
      requireAction(await callerOf(auth, request), 'admin')
      const limit = limitOf(request.query.limit)
      const { before } = request.query
      const entries = await store.audit.list({ limit, ...(before === undefined ? {} : { from: Number(before) }) })
      const last = entries.length === limit ? entries.at(-1)?.id : undefined
      return reply
        .header('cache-control', 'no-store')
        .send({ entries: entries.map(auditOf), ...(last === undefined ? {} : { next: String(last) }) })
    },
  )
}

/** Without its hash: even that is nobody's business. */
export function tokenOf({ hash: _hash, ...token }: TokenRecord) {
  const { createdAt, expiresAt, revokedAt, lastUsedAt, ...rest } = token
  return {
    ...rest,
    createdAt: iso(createdAt),
    ...(expiresAt === undefined ? {} : { expiresAt: iso(expiresAt) }),
    ...(revokedAt === undefined ? {} : { revokedAt: iso(revokedAt) }),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt: iso(lastUsedAt) }),
  }
}

function auditOf({ at, ...entry }: AuditEntry) {
  return { ...entry, at: iso(at) }
}

function instantOf(text: string): number {
  const at = Date.parse(text)
  if (Number.isNaN(at)) throw new Problem('INVALID_REQUEST', { reason: 'expiresAt is no date' })
  return at
}
