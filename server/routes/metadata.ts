import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Caller } from '../auth/authenticate.ts'
import type { Settings } from '../config.ts'
import { Problem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import { acceptsGzip, matchesEtag } from '../serve/conditional.ts'
import type { Served, ServedFiles } from '../serve/files.ts'
import type { Seen, Sightings } from '../serve/sightings.ts'
import { NO_BODY, REPOSITORY, askAgain, problems } from './schema.ts'

const PURPOSE = 'x-tagseal-purpose'
const schema = {
  operationId: 'getMetadata',
  tags: ['trust'],
  summary: 'A metadata file, byte for byte as it was published.',
  description:
    'Current files by role (`timestamp.json`, `targets.json`, `targets/releases.json`), any kept version (`4.targets.json`) or the file of one hash (`targets.<sha256>.json`). Every root is kept forever, other files for some minutes after they were superseded. Answers carry a strong ETag, honour If-None-Match, and may be compressed by gzip. `Warning: 299` says of a file that it expires, once a fifth of its life is left.',
  security: [{}, { token: [] }],
  params: {
    type: 'object',
    required: ['repository', 'file'],
    additionalProperties: false,
    properties: {
      repository: REPOSITORY,
      file: { type: 'string', maxLength: 600, description: 'Name of the file. Slashes in a role name may be `%2F`.' },
    },
  },
  headers: {
    type: 'object',
    properties: {
      [PURPOSE]: {
        type: 'string',
        description:
          '`publish`: also of a repository that is held back after a backup was restored, to publish what was lost. Nobody else should look at it.',
      },
    },
  },
  response: {
    200: { description: 'The file.', type: 'object', additionalProperties: true },
    304: { description: 'The reader has it already.', ...NO_BODY },
    ...problems('METADATA_NOT_FOUND', 'INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED'),
  },
} as const
type Params = { repository: string; file: string }

export type MetadataDeps = {
  readonly files: Pick<ServedFiles, 'get'>
  readonly settings: Settings
  readonly sightings: Pick<Sightings, 'note'>
  readonly clock: () => number
  /** Who asks. Throws unless they may read the repository; called where the server is private. */
  readonly requireReader: (request: FastifyRequest, repository: string) => Promise<Caller>
}

const FOREVER = 'max-age=31536000, immutable'

/** `GET /v2/:repository/_trust/tuf/:file`. Answers the stored bytes untouched: any other byte would break their hashes. */
export function getMetadata(
  app: FastifyInstance,
  { files, settings, requireReader, sightings, clock }: MetadataDeps,
): void {
  app.get<{ Params: Params }>('/v2/:repository/_trust/tuf/:file', { schema }, async (request, reply) => {
    const { repository, file } = request.params
    repositoryName(repository)
    // Reading is open to everybody: then nobody's token is looked at, which keeps the most frequent request cheap.
    const caller = settings.private ? await requireReader(request, repository) : undefined
    const toPublish = request.headers[PURPOSE] === 'publish'
    const served = await files.get(repository, file, toPublish)
    if (served === undefined) throw new Problem('METADATA_NOT_FOUND', { repository, file })
    if (file === 'timestamp.json' && !toPublish) sightings.note(repository, seenAs(request, caller), served.version)
    return send(request, reply, served)
  })

  const forever = `${settings.private ? 'private' : 'public'}, ${FOREVER}`

  async function send(request: FastifyRequest, reply: FastifyReply, served: Served): Promise<FastifyReply> {
    const { headers } = request
    const small = acceptsGzip(headers['accept-encoding']) ? await served.gzip() : undefined
    const { bytes, etag } = small ?? served
    void reply.header('etag', etag)
    void reply.header('last-modified', served.lastModified)
    void reply.header('cache-control', served.immutable ? forever : askAgain(settings))
    void reply.header('vary', settings.private ? 'accept-encoding, authorization' : 'accept-encoding')
    const { warning } = served
    if (warning !== undefined && clock() >= warning.from) void reply.header('warning', warning.text)
    if (matchesEtag(headers['if-none-match'], etag)) return reply.code(304).send()
    if (small !== undefined) void reply.header('content-encoding', 'gzip')
    return reply.type('application/json').send(bytes)
  }
}

function seenAs({ ip }: FastifyRequest, caller: Caller | undefined): Seen {
  return caller?.name === undefined ? { address: ip } : { token: caller.name }
}
