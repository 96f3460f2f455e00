import type { FastifyInstance, FastifyRequest } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { Problem } from '../problem.ts'
import { readUpload } from '../publish/upload.ts'
import type { Upload } from '../publish/upload.ts'
import { repositoryName } from '../repository-name.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { REPOSITORY_PARAMS, VERSIONS, problems } from './schema.ts'

const schema = {
  operationId: 'publish',
  tags: ['trust'],
  summary: 'Publish signed metadata: all of it or nothing.',
  description:
    'One part for each role, its file name being the role (`root`, `targets`, `targets/releases`; `.json` may follow), in any order. The server signs the next snapshot and timestamp, judges the whole as a client would, and has it on the disk when it answers. A part of type `application/vnd.tagseal.targets-delta+json` says only what changes in the stored file: `{"base":{"version","sha256"},"set":{path:target},"remove":[path],"version","expires","signatures"}`.',
  security: [{ token: [] }],
  consumes: ['multipart/form-data'],
  params: REPOSITORY_PARAMS,
  headers: {
    type: 'object',
    properties: {
      'if-match': {
        type: 'string',
        pattern: '^"[0-9a-f]{64}"$',
        description:
          'ETag of the snapshot that the publisher saw: nothing is published where it is another one by now.',
      },
    },
  },
  response: {
    200: {
      description: 'Published.',
      type: 'object',
      required: ['versions'],
      additionalProperties: false,
      properties: {
        versions: VERSIONS,
        unsigned: {
          type: 'array',
          items: { type: 'string' },
          description: 'Delegated roles that clients refuse until their new keys have signed them.',
        },
        signed: {
          type: 'object',
          additionalProperties: false,
          properties: { timestamp: { type: 'string' }, snapshot: { type: 'string' } },
          description:
            'The files that the server signed for this publish, byte for byte: a publisher need not fetch them. Absent where everything had been stored before.',
        },
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
      'SNAPSHOT_CHANGED',
      'TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
      'TOO_MANY_REQUESTS',
      'SIGNING_UNAVAILABLE',
      'STORAGE_FULL',
    ),
  },
} as const
type Params = { repository: string }

/** `POST /v2/:repository/_trust/tuf/`. */
export function postUpload(app: FastifyInstance, deps: AppDeps): void {
  const { auth, publisher, metrics } = deps
  app.post<{ Params: Params }>('/v2/:repository/_trust/tuf/', { schema }, async (request, reply) => {
    const repository = repositoryName(request.params.repository)
    const caller = await callerOf(auth, request)
    requireAction(caller, 'push', repository) // before a byte of the body is read
    const { name } = caller
    const by = name === undefined ? {} : { by: name }
    const { versions, leftBehind, signed } = await withUpload(deps, request, async (upload) => {
      const stop = metrics.publishTimer()
      const ifMatch = request.headers['if-match']?.slice(1, -1)
      const seen = ifMatch === undefined ? {} : { seenSnapshot: ifMatch }
      const published = await publisher.publish({ repository, upload, request: request.id, ...by, ...seen })
      stop()
      return published
    })
    const unsigned = leftBehind.length === 0 ? {} : { unsigned: leftBehind }
    const files = [...signed].map(([role, bytes]) => [role, Buffer.from(bytes).toString('utf8')] as const)
    const told = files.length === 0 ? {} : { signed: Object.fromEntries(files) }
    return reply
      .header('cache-control', 'no-store')
      .send({ versions: Object.fromEntries(versions), ...unsigned, ...told })
  })
}

/** The upload's bytes count against the budget from before they arrive until they are dealt with. */
export async function withUpload<T>(
  { budget, settings }: AppDeps,
  request: FastifyRequest,
  use: (upload: Upload) => Promise<T>,
  total = settings.maxUpload,
): Promise<T> {
  const { raw, headers } = request
  const type = headers['content-type']
  if (type === undefined || !/^multipart\/form-data\b/i.test(type)) {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', { wanted: 'multipart/form-data' })
  }
  const announced = Number(headers['content-length'] ?? total)
  if (announced > total) throw new Problem('TOO_LARGE', { what: 'the upload', limit: total })
  if (!budget.take(announced)) throw new Problem('TOO_MANY_REQUESTS', { what: 'uploads' })
  try {
    const limits = {
      total,
      parts: settings.maxUploadParts,
      root: settings.maxRoot,
      targets: settings.maxTargets,
    }
    return await use(await readUpload(raw, type, limits))
  } finally {
    budget.give(announced)
  }
}
