import type { FastifyInstance } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { Problem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import type { ChangedDelegation, Page } from '../storage/store.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { INSTANT, LIMIT, REPOSITORY_PARAMS, iso, limitOf, problems } from './schema.ts'

const ENTRY = {
  type: 'object',
  required: ['keys', 'threshold', 'scope', 'terminating'],
  additionalProperties: false,
  properties: {
    keys: {
      type: 'array',
      items: {
        type: 'object',
        required: ['keytype', 'scheme', 'public'],
        additionalProperties: false,
        properties: { keytype: { type: 'string' }, scheme: { type: 'string' }, public: { type: 'string' } },
      },
    },
    threshold: { type: 'integer', minimum: 1 },
    scope: {
      type: 'object',
      required: ['kind', 'patterns'],
      additionalProperties: false,
      properties: {
        kind: { enum: ['paths', 'path-prefixes', 'hash-prefixes', 'bins'] },
        patterns: { type: 'array', items: { type: 'string' } },
      },
    },
    terminating: { type: 'boolean' },
  },
} as const

const schema = {
  operationId: 'getChanges',
  tags: ['repositories'],
  summary: 'Which tags and delegations were changed since some moment, and how the delegations were before it.',
  description: 'The record of the server, which nobody signed. What a tag meant before is in its history.',
  security: [{ token: [] }],
  params: REPOSITORY_PARAMS,
  querystring: {
    type: 'object',
    required: ['since'],
    additionalProperties: false,
    properties: {
      since: {
        type: 'string',
        pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,3})?Z$',
        description: 'ISO 8601, UTC.',
      },
      limit: LIMIT,
      after: {
        type: 'string',
        maxLength: 1024,
        description: '`next` of the page before: more tags, and nothing else.',
      },
      afterDelegation: {
        type: 'string',
        pattern: '^\\d{1,15}$',
        description: '`nextDelegation` of the page before: more delegations, and nothing else.',
      },
    },
  },
  response: {
    200: {
      description:
        'A page of tags, in the order of their names, and one of delegations, whichever changed last at the end.',
      type: 'object',
      required: ['tags', 'delegations'],
      additionalProperties: false,
      properties: {
        tags: { type: 'array', items: { type: 'string' } },
        next: { type: 'string', description: 'Where the next page of tags begins; absent on the last one.' },
        nextDelegation: { type: 'string', description: 'The same of delegations.' },
        delegations: {
          type: 'array',
          items: {
            type: 'object',
            required: ['delegator', 'role', 'version', 'at', 'keyids', 'before'],
            additionalProperties: false,
            properties: {
              delegator: { type: 'string' },
              role: { type: 'string' },
              version: { type: 'integer', minimum: 1, description: 'Of the delegator, with the last change.' },
              at: INSTANT,
              keyids: { type: 'array', items: { type: 'string' } },
              by: { type: 'string', description: 'Name of the token; told to administrators only.' },
              before: { anyOf: [ENTRY, { type: 'null' }], description: 'null: there was no such role.' },
            },
          },
        },
        orders: {
          type: 'array',
          description:
            'Delegators that ask the roles below them in another order since, or of whose roles one left; with the first page.',
          items: {
            type: 'object',
            required: ['delegator', 'version', 'at', 'keyids', 'before'],
            additionalProperties: false,
            properties: {
              delegator: { type: 'string' },
              version: { type: 'integer', minimum: 1, description: 'Of the delegator, with the last such change.' },
              at: INSTANT,
              keyids: { type: 'array', items: { type: 'string' } },
              by: { type: 'string', description: 'Name of the token; told to administrators only.' },
              before: {
                type: 'array',
                items: { type: 'string' },
                description: 'The roles that were there, in the order in which they were asked.',
              },
            },
          },
        },
      },
    },
    ...problems('NOT_FOUND', 'INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED'),
  },
} as const
type Params = { repository: string }
type Query = { since: string; limit?: string; after?: string; afterDelegation?: string }

/** `GET /v1/repositories/:repository/_changes`. For publishers: it looks through the whole history of a repository. */
export function changesRoute(app: FastifyInstance, { auth, store: { metadata } }: AppDeps): void {
  app.get<{ Params: Params; Querystring: Query }>(
    '/v1/repositories/:repository/_changes',
    { schema },
    async (request, reply) => {
      const repository = repositoryName(request.params.repository)
      const caller = await callerOf(auth, request)
      requireAction(caller, 'push', repository)
      const { since: text, after, afterDelegation } = request.query
      const since = Date.parse(text)
      if (Number.isNaN(since)) throw new Problem('INVALID_REQUEST', { reason: '`since` is no time' })
      if ((await metadata.dialect(repository)) === undefined) {
        throw new Problem('NOT_FOUND', { what: `repository ${repository}` })
      }
      const limit = limitOf(request.query.limit)
      const [tagsFrom, delegationsFrom] = [pageFrom(limit, after), pageFrom(limit, numberOf(afterDelegation))]
      const tags = afterDelegation === undefined ? await metadata.changedTags(repository, since, tagsFrom) : []
      const delegations =
        after === undefined ? await metadata.changedDelegations(repository, since, delegationsFrom) : []
      const [next, nextDelegation] = [nextOf(tags, limit), nextOf(delegations, limit)?.id]
      const admin = caller.allows('admin', repository)
      const isFirst = after === undefined && afterDelegation === undefined
      const orders = isFirst ? await metadata.changedOrders(repository, since) : undefined
      return reply.header('cache-control', 'no-store').send({
        tags,
        ...(next === undefined ? {} : { next }),
        delegations: delegations.map(({ id: _, ...each }) => ({
          ...changeOf(each, admin),
          before: each.before ?? null,
        })),
        ...(nextDelegation === undefined ? {} : { nextDelegation: String(nextDelegation) }),
        ...(orders === undefined ? {} : { orders: orders.map((each) => changeOf(each, admin)) }),
      })
    },
  )
}

function pageFrom<T>(limit: number, from: T | undefined): Page<T> {
  return { limit, ...(from === undefined ? {} : { from }) }
}

function nextOf<T>(found: readonly T[], limit: number): T | undefined {
  return found.length === limit ? found.at(-1) : undefined
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}

function changeOf<T extends Pick<ChangedDelegation, 'at' | 'by'>>({ by, at, ...rest }: T, admin: boolean) {
  return { ...rest, at: iso(at), ...(admin && by !== undefined ? { by } : {}) }
}
