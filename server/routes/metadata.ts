import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Caller } from '../auth/authenticate.ts'
import type { Settings } from '../config.ts'
import { Problem } from '../problem.ts'
import { repositoryName } from '../repository-name.ts'
import type { Ahead, Ready } from '../serve/ahead.ts'
import { acceptsGzip, matchesEtag } from '../serve/conditional.ts'
import type { Compressed, Served, ServedFiles } from '../serve/files.ts'
import { plainFile } from '../serve/rewrite-url.ts'
import type { Seen, Sightings } from '../serve/sightings.ts'
import { NO_BODY, REPOSITORY, askAgain, problems } from './schema.ts'

const PURPOSE = 'x-tagseal-purpose'
/** Names a file that is sent along where the one that was asked for is not there (ADR 0046). */
const ALONG = 'x-tagseal-along'
const TIMESTAMP = 'timestamp.json'
const schema = {
  operationId: 'getMetadata',
  tags: ['trust'],
  summary: 'A metadata file, byte for byte as it was published.',
  description:
    'Current files by role (`timestamp.json`, `targets.json`, `targets/releases.json`), any kept version (`4.targets.json`) or the file of one hash (`targets.<sha256>.json`). Every root is kept forever, other files for some minutes after they were superseded. Answers carry a strong ETag, honour If-None-Match, and may be compressed by gzip. `Warning: 299` says of a file that it expires, once a fifth of its life is left. Whoever asks for a root that is not there, which is how a refresh begins, may have the timestamp sent along: with `x-tagseal-along: timestamp.json` in the request, the answer is still 404 and has the timestamp as its body, as its header `x-tagseal-along: timestamp.json;sha256=<hex>` says.',
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
      [ALONG]: {
        type: 'string',
        description:
          '`timestamp.json`: to be sent as the body of a 404, where the next root is asked for. Nothing else is.',
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
  readonly files: Pick<ServedFiles, 'get' | 'inMemory'>
  readonly settings: Settings
  readonly sightings: Pick<Sightings, 'note'>
  readonly clock: () => number
  /** Who asks. Throws unless they may read the repository; called where the server is private. */
  readonly requireReader: (request: FastifyRequest, repository: string) => Promise<Caller>
}

const ROUTE = '/v2/:repository/_trust/tuf/:file'

/** `GET /v2/:repository/_trust/tuf/:file`. Answers the stored bytes untouched: any other byte would break their hashes. */
export function getMetadata(app: FastifyInstance, deps: MetadataDeps): void {
  const { files, settings, requireReader } = deps
  app.get<{ Params: Params }>(ROUTE, { schema }, async (request, reply) => {
    const { repository, file } = request.params
    repositoryName(repository)
    // Reading is open to everybody: then nobody's token is looked at, which keeps the most frequent request cheap.
    const caller = settings.private ? await requireReader(request, repository) : undefined
    const toPublish = isToPublish(request.headers)
    const served = await files.get(repository, file, toPublish)
    const who = seenAs(request, caller)
    if (served === undefined) {
      const timestamp = isAlong(request.headers, file) ? await lookAlong(deps, repository) : undefined
      if (timestamp === undefined) throw new Problem('METADATA_NOT_FOUND', { repository, file })
      const { status, headers, body } = absentWith(deps, { repository, served: timestamp, who })
      return reply.code(status).headers(headers).send(body)
    }
    if (!toPublish) noteSighting(deps, { repository, file, served, who })
    const small = await smallOf(served, request.headers)
    const { status, headers, body } = answerWith(deps, request.headers, served, small)
    return reply.code(status).headers(headers).send(body)
  })
}

/**
 * The same ahead of the application, for what anybody may read and is in memory. It finds nothing that the route did not
 * serve under that name before, so it need not be looked at again whether it is a name.
 */
export function metadataAhead(deps: Omit<MetadataDeps, 'requireReader'>): Ahead | undefined {
  if (deps.settings.private) return undefined
  return {
    route: ROUTE,
    concerns: isPlain,
    look() {
      const find = deps.files.inMemory()
      return ({ url = '/', headers, socket }) => {
        const wanted = plainFile(url)
        if (wanted === undefined) return undefined
        const { repository, file } = wanted
        const who = { address: socket.remoteAddress ?? '' }
        const served = find(repository, file)
        if (served === undefined) {
          const timestamp = isAlong(headers, file) ? findAlong(find, wanted) : undefined
          if (timestamp === undefined) return undefined
          return asText(absentWith(deps, { repository, served: timestamp, who }), timestamp)
        }
        const small = smallOf(served, headers)
        if (small instanceof Promise) return undefined
        noteSighting(deps, { repository, file, served, who })
        return asText(answerWith(deps, headers, served, small), served)
      }
    },
  }
}

function asText(ready: Ready, { bytes, text }: Served): Ready {
  return ready.body === bytes ? { ...ready, body: text ?? bytes } : ready
}

const NUMBERED_ROOT = /^([1-9]\d{0,14})\.root\.json$/

/** Whether the timestamp is to be sent along where this file is not there. */
function isAlong(headers: IncomingHttpHeaders, file: string): boolean {
  return headers[ALONG] === TIMESTAMP && NUMBERED_ROOT.test(file) && !isToPublish(headers)
}

/** The current root comes into memory as well: by it the next one who asks is answered at once. */
async function lookAlong({ files }: Pick<MetadataDeps, 'files'>, repository: string): Promise<Served | undefined> {
  await files.get(repository, 'root.json')
  return await files.get(repository, TIMESTAMP)
}

/** undefined unless it is known at once that this root is not there. */
function findAlong(
  find: ReturnType<ServedFiles['inMemory']>,
  { repository, file }: { readonly repository: string; readonly file: string },
): Served | undefined {
  const [, wanted] = NUMBERED_ROOT.exec(file) ?? []
  const current = find(repository, 'root.json')?.version
  return current !== undefined && Number(wanted) > current ? find(repository, TIMESTAMP) : undefined
}

/** No cache may keep it: of a root that is there in a moment, together with a timestamp that is old by then. */
function absentWith(deps: Pick<MetadataDeps, 'settings' | 'sightings'>, timestamp: Omit<Sight, 'file'>): Ready {
  noteSighting(deps, { ...timestamp, file: TIMESTAMP })
  const { bytes, etag } = timestamp.served
  const headers = {
    'cache-control': 'no-store',
    vary: deps.settings.private ? `${ALONG}, authorization` : ALONG,
    // With its hash: somebody between us may put a page of his own in its place.
    [ALONG]: `${TIMESTAMP};sha256=${etag.slice(1, -1)}`,
    'content-type': 'application/json',
    'content-length': String(bytes.length),
  }
  return { status: 404, headers, body: bytes }
}

/** No body, which nobody wants, and nothing that changes what is served. */
function isPlain({ method, url = '/', headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    plainFile(url) !== undefined &&
    !isToPublish(headers) &&
    headers['content-length'] === undefined &&
    headers['transfer-encoding'] === undefined
  )
}

function isToPublish(headers: IncomingHttpHeaders): boolean {
  return headers[PURPOSE] === 'publish'
}

type Sight = { readonly repository: string; readonly file: string; readonly served: Served; readonly who: Seen }

function noteSighting({ sightings }: Pick<MetadataDeps, 'sightings'>, { repository, file, served, who }: Sight): void {
  if (file === TIMESTAMP) sightings.note(repository, who, served.version)
}

function seenAs({ ip }: FastifyRequest, caller: Caller | undefined): Seen {
  return caller?.name === undefined ? { address: ip } : { token: caller.name }
}

function smallOf(served: Served, headers: IncomingHttpHeaders): ReturnType<Served['gzip']> {
  return acceptsGzip(headers['accept-encoding']) ? served.gzip() : undefined
}

const FOREVER = 'max-age=31536000, immutable'

/** What is answered to who asked with these headers. `small` is the file as it is sent, where it is sent compressed. */
function answerWith(
  { settings, clock }: Pick<MetadataDeps, 'settings' | 'clock'>,
  asked: IncomingHttpHeaders,
  served: Served,
  small: Compressed | undefined,
): Ready {
  const { bytes, etag } = small ?? served
  const { warning, lastModified, immutable } = served
  const hidden = settings.private
  const headers: Record<string, string> = {
    etag,
    'last-modified': lastModified,
    'cache-control': immutable ? `${hidden ? 'private' : 'public'}, ${FOREVER}` : askAgain(settings),
    vary: hidden ? 'accept-encoding, authorization' : 'accept-encoding',
  }
  if (warning !== undefined && clock() >= warning.from) headers.warning = warning.text
  if (matchesEtag(asked['if-none-match'], etag)) return { status: 304, headers, body: undefined }
  if (small !== undefined) headers['content-encoding'] = 'gzip'
  headers['content-type'] = 'application/json'
  headers['content-length'] = String(bytes.length)
  return { status: 200, headers, body: bytes }
}
