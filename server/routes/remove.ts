import type { FastifyInstance } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { repositoryName } from '../repository-name.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { BODY_REFUSALS, REPOSITORY_PARAMS, problems } from './schema.ts'

const schema = {
  operationId: 'deleteRepository',
  tags: ['trust'],
  summary: 'Forget all trust data of a repository.',
  description:
    'Every file and its history go; who did it stays in the audit. The keys stay, so that whoever still has the repository can publish it again. There is nothing wrong with a repository that does not exist.',
  security: [{ token: [] }],
  params: REPOSITORY_PARAMS,
  response: {
    200: { description: 'It does not exist any more.', type: 'null' },
    ...problems('INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED', 'STORAGE_FULL', ...BODY_REFUSALS),
  },
} as const

/** `DELETE /v2/:repository/_trust/tuf/`. */
export function deleteRepository(app: FastifyInstance, { auth, publisher, clock }: AppDeps): void {
  app.delete<{ Params: { repository: string } }>('/v2/:repository/_trust/tuf/', { schema }, async (request, reply) => {
    const repository = repositoryName(request.params.repository)
    const caller = await callerOf(auth, request)
    requireAction(caller, 'admin', repository)
    const at = clock()
    const actor = caller.name === undefined ? {} : { actor: caller.name }
    const audit = { at, ...actor, action: 'delete', subject: repository, request: request.id }
    await publisher.remove({ repository, at, audit })
    return reply.header('cache-control', 'no-store').send()
  })
}
