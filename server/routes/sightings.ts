import type { FastifyInstance } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { Problem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import { MOST_KEPT } from '../serve/sightings.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { INSTANT, REPOSITORY_PARAMS, iso, problems } from './schema.ts'

const schema = {
  operationId: 'getSightings',
  tags: ['repositories'],
  summary: 'Who was served which timestamp last; whoever was seen last comes first.',
  description:
    'By the name of a token where reading takes one, else by the network (`192.0.2.0/24`); at most 1000. Nobody signs it, and whoever reads through a proxy or a cache is not seen. Written down once a minute.',
  security: [{ token: [] }],
  params: REPOSITORY_PARAMS,
  response: {
    200: {
      description: 'All that is kept. `kept` is false where the server keeps no such record.',
      type: 'object',
      required: ['kept', 'sightings'],
      additionalProperties: false,
      properties: {
        kept: { type: 'boolean' },
        sightings: {
          type: 'array',
          items: {
            type: 'object',
            required: ['who', 'version', 'at'],
            additionalProperties: false,
            properties: { who: { type: 'string' }, version: { type: 'integer', minimum: 1 }, at: INSTANT },
          },
        },
      },
    },
    ...problems('NOT_FOUND', 'INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED'),
  },
} as const
type Params = { repository: string }

/** `GET /v1/repositories/:repository/_sightings`. */
export function sightingsRoute(app: FastifyInstance, { auth, settings, sightings, store }: AppDeps): void {
  const url = '/v1/repositories/:repository/_sightings'
  app.get<{ Params: Params }>(url, { schema }, async (request, reply) => {
    const repository = repositoryName(request.params.repository)
    requireAction(await callerOf(auth, request), 'push', repository)
    if ((await store.metadata.dialect(repository)) === undefined) {
      throw new Problem('NOT_FOUND', { what: `repository ${repository}` })
    }
    await sightings.flush()
    const seen = await store.sightings.list(repository, MOST_KEPT)
    return reply.header('cache-control', 'no-store').send({
      kept: settings.sightingLifetime > 0,
      sightings: seen.map(({ at, ...rest }) => ({ ...rest, at: iso(at) })),
    })
  })
}
