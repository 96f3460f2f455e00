import type { FastifyInstance, FastifyReply } from 'fastify'
import { requireAction, requireCatalogue } from '../auth/authenticate.ts'
import { Problem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import type { FeedEntry, FeedStore } from '../storage/store.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { INSTANT, REPOSITORY_PARAMS, askAgain, iso, problems } from './schema.ts'

const querystring = {
  type: 'object',
  properties: {
    records: {
      type: 'string',
      description: 'How many: after `change_id`, or before it where negative; 0 means 100. At most 1000 are given.',
    },
    change_id: {
      type: 'string',
      description: 'The `ID` of the last one that was read; nothing or 0 for the beginning, -1 for the newest ones.',
    },
  },
} as const
const response = {
  200: {
    description: 'The oldest first.',
    type: 'object',
    required: ['count', 'records'],
    additionalProperties: false,
    properties: {
      count: { type: 'integer', minimum: 0 },
      records: {
        type: ['array', 'null'],
        items: {
          type: 'object',
          required: ['ID', 'CreatedAt', 'GUN', 'Version', 'SHA256', 'Category'],
          additionalProperties: false,
          properties: {
            ID: { type: 'string' },
            CreatedAt: INSTANT,
            GUN: { type: 'string', description: 'Name of the repository.' },
            Version: { type: 'integer', description: 'Of the new timestamp; 0 for a deletion.' },
            SHA256: { type: 'string', description: 'Of the new timestamp; empty for a deletion.' },
            Category: { type: 'string', enum: ['update', 'deletion'] },
          },
        },
      },
    },
  },
} as const
const one = {
  operationId: 'getChangefeed',
  tags: ['trust'],
  summary: 'Every new timestamp of a repository, and its deletions.',
  security: [{}, { token: [] }],
  params: REPOSITORY_PARAMS,
  querystring,
  response: { ...response, ...problems('INVALID_PARAMETERS', 'INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED') },
} as const
const all = {
  operationId: 'getWholeChangefeed',
  tags: ['trust'],
  summary: 'The same of all repositories.',
  security: [{ token: [] }],
  querystring,
  response: { ...response, ...problems('INVALID_PARAMETERS', 'UNAUTHORIZED', 'DENIED') },
} as const
type Query = { records?: string; change_id?: string }

const [DEFAULT, MOST] = [100, 1000]

/** `GET /v2/_trust/changefeed` and `/v2/:repository/_trust/changefeed`, in Notary's form for every repository. */
export function changefeedRoutes(app: FastifyInstance, { auth, settings, store: { feed } }: AppDeps): void {
  app.get<{ Querystring: Query }>('/v2/_trust/changefeed', { schema: all }, async (request, reply) => {
    requireCatalogue(await callerOf(auth, request))
    return send(reply, 'no-store', await read(feed, request.query))
  })
  app.get<{ Params: { repository: string }; Querystring: Query }>(
    '/v2/:repository/_trust/changefeed',
    { schema: one },
    async (request, reply) => {
      const repository = repositoryName(request.params.repository)
      if (settings.private) requireAction(await callerOf(auth, request), 'pull', repository)
      return send(reply, askAgain(settings), await read(feed, request.query, repository))
    },
  )
}

async function read(feed: FeedStore, query: Query, repository?: string): Promise<readonly FeedEntry[]> {
  const records = integer('records', query.records) || DEFAULT
  const from = query.change_id === undefined || query.change_id === '' ? 0 : integer('change_id', query.change_id)
  const limit = Math.min(Math.abs(records), MOST)
  if (from < 0) return feed.before({ limit }, repository)
  return records < 0 ? feed.before({ limit, from }, repository) : feed.after({ limit, from }, repository)
}

function integer(name: string, text: string | undefined): number {
  if (text !== undefined && /^[+-]?\d{1,15}$/.test(text)) return Number(text)
  throw new Problem('INVALID_PARAMETERS', { parameter: name, got: (text ?? '').slice(0, 80) })
}

function send(reply: FastifyReply, cache: string, entries: readonly FeedEntry[]): FastifyReply {
  const records = entries.map(({ id, at, repository, version, sha256, category }) => ({
    ID: String(id),
    CreatedAt: iso(at),
    GUN: repository,
    Version: version,
    SHA256: sha256,
    Category: category,
  }))
  return reply
    .header('cache-control', cache)
    .send({ count: records.length, records: records.length === 0 ? null : records })
}
