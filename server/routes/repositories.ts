import { setImmediate as yieldToOthers } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { requireAction, requireSomewhere } from '../auth/authenticate.ts'
import type { Caller } from '../auth/authenticate.ts'
import { Problem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import type { FileRecord, HistoryEntry, MetadataStore, RepositoryState, RepositorySummary } from '../storage/store.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { INSTANT, LIMIT, REPOSITORY_PARAMS, SHA256, askAgain, iso, limitOf, problems } from './schema.ts'

const list = {
  operationId: 'listRepositories',
  tags: ['repositories'],
  summary:
    'The repositories that the token administers, in the order of their names; all, for one with `registry:catalog:*`.',
  security: [{ token: [] }],
  querystring: {
    type: 'object',
    additionalProperties: false,
    properties: { limit: LIMIT, after: { type: 'string', maxLength: 255, description: '`next` of the page before.' } },
  },
  response: {
    200: {
      description: 'One page.',
      type: 'object',
      required: ['repositories'],
      additionalProperties: false,
      properties: {
        repositories: {
          type: 'array',
          items: {
            type: 'object',
            required: ['name', 'createdAt'],
            additionalProperties: false,
            properties: { name: { type: 'string' }, createdAt: INSTANT },
          },
        },
        next: { type: 'string', description: 'Where the next page begins; absent on the last one.' },
      },
    },
    ...problems('UNAUTHORIZED', 'DENIED'),
  },
} as const

const status = {
  operationId: 'getRepository',
  tags: ['repositories'],
  summary: 'Which version every role is at, and until when.',
  security: [{}, { token: [] }],
  params: REPOSITORY_PARAMS,
  response: {
    200: {
      description: 'The state. It is a help for operators; what a client trusts is the signed metadata.',
      type: 'object',
      required: ['name', 'createdAt', 'roles'],
      additionalProperties: false,
      properties: {
        name: { type: 'string' },
        createdAt: INSTANT,
        roles: {
          type: 'array',
          items: {
            type: 'object',
            required: ['role', 'version', 'expires', 'length', 'sha256', 'storedAt'],
            additionalProperties: false,
            properties: {
              role: { type: 'string' },
              version: { type: 'integer', minimum: 1 },
              expires: INSTANT,
              length: { type: 'integer', minimum: 1 },
              sha256: SHA256,
              storedAt: INSTANT,
            },
          },
        },
      },
    },
    ...problems('NOT_FOUND', 'INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED'),
  },
} as const

const history = {
  operationId: 'getHistory',
  tags: ['repositories'],
  summary: 'What a tag meant, when, and by whose keys; newest first.',
  security: [{}, { token: [] }],
  params: REPOSITORY_PARAMS,
  querystring: {
    type: 'object',
    required: ['tag'],
    additionalProperties: false,
    properties: {
      tag: { type: 'string', minLength: 1, maxLength: 1024 },
      limit: LIMIT,
      before: { type: 'string', pattern: '^\\d{1,15}$', description: '`next` of the page before.' },
    },
  },
  response: {
    200: {
      description: 'One page; empty for a tag that never meant anything.',
      type: 'object',
      required: ['entries'],
      additionalProperties: false,
      properties: {
        entries: {
          type: 'array',
          items: {
            type: 'object',
            required: ['tag', 'at', 'digest', 'role', 'version', 'keyids'],
            additionalProperties: false,
            properties: {
              tag: { type: 'string' },
              at: INSTANT,
              digest: {
                type: ['string', 'null'],
                description: 'null: from here on the tag meant nothing in this role.',
              },
              length: { type: 'integer', minimum: 0 },
              besides: {
                type: 'string',
                pattern: '^(?:[0-9a-f]{64})?$',
                description:
                  'A hash over what was signed with it beside digest and length (other hashes, custom); empty for nothing, absent where that was not kept yet.',
              },
              role: { type: 'string' },
              version: { type: 'integer', minimum: 1 },
              keyids: { type: 'array', items: { type: 'string' } },
              by: { type: 'string', description: 'Name of the token; told to administrators only.' },
            },
          },
        },
        next: { type: 'string', description: 'Where the next page begins; absent on the last one.' },
      },
    },
    ...problems('NOT_FOUND', 'INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED'),
  },
} as const

type Params = { repository: string }

const READ_AT_ONCE = 1_000

/** `GET /v1/repositories`, `/v1/repositories/:repository` and its `/history`. */
export function repositoryRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { store, auth, settings } = deps
  const { metadata } = store

  app.get<{ Querystring: { limit?: string; after?: string } }>(
    '/v1/repositories',
    { schema: list },
    async (request, reply) => {
      const caller = await callerOf(auth, request)
      const [limit, from] = [limitOf(request.query.limit), request.query.after]
      if (!caller.allowsCatalogue) requireSomewhere(caller, 'admin')
      const { shown, next } = await pageOf(metadata, caller, limit, from)
      return reply.header('cache-control', 'no-store').send({
        repositories: shown.map(({ name, createdAt }) => ({ name, createdAt: iso(createdAt) })),
        ...(next === undefined ? {} : { next }),
      })
    },
  )

  app.get<{ Params: Params }>('/v1/repositories/:repository', { schema: status }, async (request, reply) => {
    const repository = repositoryName(request.params.repository)
    if (settings.private) requireAction(await callerOf(auth, request), 'pull', repository)
    return reply.header('cache-control', askAgain(settings)).send(statusOf(await stateOf(deps, repository)))
  })

  app.get<{ Params: Params; Querystring: { tag: string; limit?: string; before?: string } }>(
    '/v1/repositories/:repository/history',
    { schema: history },
    async (request, reply) => {
      const repository = repositoryName(request.params.repository)
      const caller = await callerOf(auth, request)
      if (settings.private) requireAction(caller, 'pull', repository)
      const { tag, before } = request.query
      const limit = limitOf(request.query.limit)
      const entries = await metadata.history(repository, tag, {
        limit,
        ...(before === undefined ? {} : { from: Number(before) }),
      })
      if (entries.length === 0) await stateOf(deps, repository) // else it is there, and its roles may be many
      const last = entries.length === limit ? entries.at(-1)?.id : undefined
      const admin = caller.allows('admin', repository)
      return reply.header('cache-control', askAgain(settings)).send({
        entries: entries.map((entry) => entryOf(entry, admin)),
        ...(last === undefined ? {} : { next: String(last) }),
      })
    },
  )
}

/** Read on until the page is full: a name that this caller does not administer is not told, not even as `next`. */
async function pageOf(metadata: MetadataStore, caller: Caller, limit: number, from: string | undefined) {
  const shown: RepositorySummary[] = []
  for (let after = from; shown.length <= limit; ) {
    const names = await metadata.repositories({ limit: READ_AT_ONCE, ...(after === undefined ? {} : { from: after }) })
    shown.push(...names.filter(({ name }) => caller.allowsCatalogue || caller.allows('admin', name)))
    after = names.at(-1)?.name
    if (names.length < READ_AT_ONCE) break
    await yieldToOthers()
  }
  const next = shown.length > limit ? shown[limit - 1]?.name : undefined
  return { shown: shown.slice(0, limit), next }
}

async function stateOf({ store }: AppDeps, repository: string): Promise<RepositoryState> {
  const state = await store.metadata.state(repository)
  if (state === undefined) throw new Problem('NOT_FOUND', { what: `repository ${repository}` })
  return state
}

function statusOf({ name, createdAt, files }: RepositoryState) {
  return { name, createdAt: iso(createdAt), roles: [...files.values()].map(roleOf) }
}

function roleOf({ role, version, expires, length, sha256, storedAt }: FileRecord) {
  return { role, version, expires: iso(expires), length, sha256, storedAt: iso(storedAt) }
}

function entryOf({ tag, at, meaning, role, version, keyids, by }: HistoryEntry, admin: boolean) {
  const { digest = null, ...more } = meaning ?? {}
  return {
    tag,
    at: iso(at),
    digest,
    ...more,
    role,
    version,
    keyids,
    ...(admin && by !== undefined ? { by } : {}),
  }
}
