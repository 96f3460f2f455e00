import type { FastifyInstance } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { repositoryName } from '../repository-name.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { REPOSITORY_PARAMS, VERSIONS, problems } from './schema.ts'
import { withUpload } from './upload.ts'

const schema = {
  operationId: 'importRepository',
  tags: ['repositories'],
  summary: 'Take in a repository of another Notary v1 server: all of it or nothing.',
  description:
    'Parts as in a publish: every root so far (`1.root`, `2.root`, ...), the timestamp and snapshot that the other server has now, `targets` and the delegated roles as that snapshot lists them, and as `root` the next root, which names the timestamp and snapshot keys of this server. Versions go on where the other server stopped.',
  security: [{ token: [] }],
  consumes: ['multipart/form-data'],
  params: REPOSITORY_PARAMS,
  response: {
    200: {
      description: 'It is here now.',
      type: 'object',
      required: ['versions'],
      additionalProperties: false,
      properties: {
        versions: VERSIONS,
      },
    },
    ...problems(
      'MALFORMED_UPLOAD',
      'INVALID_REPOSITORY',
      'INVALID_ROLE',
      'INVALID_UPDATE',
      'UNAUTHORIZED',
      'DENIED',
      'TIMEOUT',
      'VERSION',
      'TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
      'TOO_MANY_REQUESTS',
      'SIGNING_UNAVAILABLE',
      'STORAGE_FULL',
    ),
  },
} as const
type Params = { repository: string }

/** `POST /v1/repositories/:repository/_import`. Whoever may publish a repository may bring it. */
export function postImport(app: FastifyInstance, deps: AppDeps): void {
  app.post<{ Params: Params }>('/v1/repositories/:repository/_import', { schema }, async (request, reply) => {
    const repository = repositoryName(request.params.repository)
    const caller = await callerOf(deps.auth, request)
    requireAction(caller, 'push', repository) // before a byte of the body is read
    const by = caller.name === undefined ? {} : { by: caller.name }
    const { versions } = await withUpload(deps, request, (upload) =>
      deps.publisher.moveIn({ repository, upload, request: request.id, ...by }),
    )
    return reply.header('cache-control', 'no-store').send({ versions: Object.fromEntries(versions) })
  })
}
