import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import { notaryCodec, tufCodec } from '../../tuf/index.ts'
import type { Codec, PublicKey, Root } from '../../tuf/index.ts'
import { repositoryName } from '../repository-name.ts'
import { ONLINE_ROLES } from '../signing/online-keys.ts'
import type { OnlineRole } from '../storage/store.ts'
import { wantsNotary } from '../serve/notary-caller.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { BODY_REFUSALS, REPOSITORY_PARAMS, problems } from './schema.ts'

const KEY = {
  200: {
    description: "A key object for a root to list, in the repository's dialect.",
    type: 'object',
    required: ['keytype', 'keyval'],
    additionalProperties: false,
    properties: {
      keytype: { type: 'string' },
      scheme: { type: 'string', description: 'Of TUF 1.0.' },
      keyval: {
        type: 'object',
        required: ['public'],
        additionalProperties: false,
        properties: { public: { type: 'string' }, private: { type: 'null', description: 'Of Notary v1.' } },
      },
    },
  },
} as const
const REFUSALS = ['INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED', 'SIGNING_UNAVAILABLE', 'STORAGE_FULL'] as const

const capital = (role: OnlineRole) => (role === 'timestamp' ? 'Timestamp' : 'Snapshot')
const get = (role: OnlineRole) => ({
  operationId: `get${capital(role)}Key`,
  tags: ['trust'],
  summary: `The key with which this server signs the repository's ${role}.`,
  description: 'Made when it is first asked for, also before the repository exists.',
  security: [{ token: [] }],
  params: REPOSITORY_PARAMS,
  response: { ...KEY, ...problems(...REFUSALS) },
})
const renew = (role: OnlineRole) => ({
  operationId: `renew${capital(role)}Key`,
  tags: ['trust'],
  summary: `Another ${role} key, for the next root to name.`,
  description: 'The server goes on signing with the key that the newest root names.',
  security: [{ token: [] }],
  params: REPOSITORY_PARAMS,
  querystring: {
    type: 'object',
    additionalProperties: false,
    properties: {
      fresh: {
        enum: ['true'],
        description:
          'Made now: whoever copied the database has those that wait for a root. They are forgotten when a root names it.',
      },
    },
  },
  response: { ...KEY, ...problems(...REFUSALS, ...BODY_REFUSALS) },
})
type Params = { repository: string }

const MOST_FRESH = 32

/** Keys that were asked for and that no root names yet. The old clients get the same one until a root does. */
const MOST_PENDING = { 'tuf-1.0': 32, 'notary-v1': 1 } as const

/** `GET` and `POST /v2/:repository/_trust/tuf/timestamp.key` and `snapshot.key`. */
export function onlineKeyRoutes(app: FastifyInstance, { auth, online, rootOf, store, clock }: AppDeps): void {
  for (const role of ONLINE_ROLES) {
    const url = `/v2/:repository/_trust/tuf/${role}.key`
    app.get<{ Params: Params }>(url, { schema: get(role) }, async (request, reply) => {
      const repository = repositoryName(request.params.repository)
      requireAction(await callerOf(auth, request), 'push', repository)
      const standing = await standingOf(repository, request.headers)
      return send(reply, standing.codec, await online.offer(repository, role, standing))
    })
    app.post<{ Params: Params; Querystring: { fresh?: 'true' } }>(
      url,
      { schema: renew(role) },
      async (request, reply) => {
        const repository = repositoryName(request.params.repository)
        const caller = await callerOf(auth, request)
        requireAction(caller, 'push', repository)
        const standing = await standingOf(repository, request.headers)
        const { key, made } =
          request.query.fresh === undefined || !isThere(standing)
            ? await online.renew(repository, role, standing, MOST_PENDING[standing.codec.dialect])
            : { key: await online.replace(repository, role, standing, MOST_FRESH), made: true }
        const actor = caller.name === undefined ? {} : { actor: caller.name }
        const entry = { at: clock(), ...actor, request: request.id, detail: { role, keyid: key.id } }
        if (made) await store.audit.add({ ...entry, action: 'key.renew', subject: repository })
        return send(reply, standing.codec, key)
      },
    )
  }

  /** Before there is a repository, its caller says what it will be. */
  async function standingOf(repository: string, headers: FastifyRequest['headers']): Promise<Prospect> {
    return (await rootOf(repository)) ?? { codec: wantsNotary(headers, undefined) ? notaryCodec : tufCodec }
  }
}

type Prospect = { readonly codec: Codec; readonly root?: Root }

/** Of a repository that begins, somebody may have been told a key that waits. */
function isThere(standing: Prospect): standing is Required<Prospect> {
  return standing.root !== undefined
}

function send(reply: FastifyReply, { dialect }: Codec, key: PublicKey): FastifyReply {
  const { keytype, scheme, public: text } = key
  const object =
    dialect === 'tuf-1.0'
      ? { keytype, scheme, keyval: { public: text } }
      : { keytype, keyval: { public: text, private: null } }
  return reply.header('cache-control', 'no-store').send(object)
}
