import type { FastifyInstance } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { Problem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import type { ChangedDelegation } from '../storage/store.ts'
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
      after: { type: 'string', maxLength: 1024, description: '`next` of the page before.' },
    },
  },
  response: {
    200: {
      description: 'One page of tags, in the order of their names; the first one has the delegations.',
      type: 'object',
      required: ['tags', 'delegations'],
      additionalProperties: false,
      properties: {
        tags: { type: 'array', items: { type: 'string' } },
        next: { type: 'string', description: 'Where the next page begins; absent on the last one.' },
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
      },
    },
    ...problems('NOT_FOUND', 'INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED'),
  },
} as const
type Params = { repository: string }
type Query = { since: string; limit?: string; after?: string }

const MOST_DELEGATIONS = 1000

/** `GET /v1/repositories/:repository/_changes`. For publishers: it looks through the whole history of a repository. */
export function changesRoute(app: FastifyInstance, { auth, store: { metadata } }: AppDeps): void {
  app.get<{ Params: Params; Querystring: Query }>(
    '/v1/repositories/:repository/_changes',
    { schema },
    async (request, reply) => {
      const repository = repositoryName(request.params.repository)
      const caller = await callerOf(auth, request)
      requireAction(caller, 'push', repository)
      const { since: text, after } = request.query
      const since = Date.parse(text)
      if (Number.isNaN(since)) throw new Problem('INVALID_REQUEST', { reason: '`since` is no time' })
      if ((await metadata.dialect(repository)) === undefined) {
        throw new Problem('NOT_FOUND', { what: `repository ${repository}` })
      }
      const limit = limitOf(request.query.limit)
      const tags = await metadata.changedTags(repository, since, {
        limit,
        ...(after === undefined ? {} : { from: after }),
      })
      const next = tags.length === limit ? tags.at(-1) : undefined
      const delegations =
        after === undefined ? await metadata.changedDelegations(repository, since, MOST_DELEGATIONS) : []
      const admin = caller.allows('admin', repository)
      return reply.header('cache-control', 'no-store').send({
        tags,
        ...(next === undefined ? {} : { next }),
        delegations: delegations.map((each) => delegationOf(each, admin)),
      })
    },
  )
}

function delegationOf({ by, before, at, ...rest }: ChangedDelegation, admin: boolean) {
  return { ...rest, at: iso(at), ...(admin && by !== undefined ? { by } : {}), before: before ?? null }
}
