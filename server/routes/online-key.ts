import type { FastifyInstance } from 'fastify'
import { requireAction } from '../auth/authenticate.ts'
import type { PublicKey } from '../../tuf/index.ts'
import { repositoryName } from '../repository-name.ts'
import { ONLINE_ROLES } from '../signing/online-keys.ts'
import type { OnlineRole } from '../storage/store.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { BODY_REFUSALS, REPOSITORY, problems } from './schema.ts'

const params = {
  type: 'object',
  required: ['repository'],
  additionalProperties: false,
  properties: { repository: REPOSITORY },
} as const

const KEY = {
  200: {
    description: 'A key object of TUF 1.0, for a root to list.',
    type: 'object',
    required: ['keytype', 'scheme', 'keyval'],
    additionalProperties: false,
    properties: {
      keytype: { type: 'string' },
      scheme: { type: 'string' },
      keyval: {
        type: 'object',
        required: ['public'],
        additionalProperties: false,
        properties: { public: { type: 'string' } },
      },
    },
  },
} as const
const REFUSALS = ['INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED', 'STORAGE_FULL'] as const

const capital = (role: OnlineRole) => (role === 'timestamp' ? 'Timestamp' : 'Snapshot')
const get = (role: OnlineRole) => ({
  operationId: `get${capital(role)}Key`,
  tags: ['trust'],
  summary: `The key with which this server signs the repository's ${role}.`,
  description: 'Made when it is first asked for, also before the repository exists.',
  security: [{ token: [] }],
  params,
  response: { ...KEY, ...problems(...REFUSALS) },
})
const renew = (role: OnlineRole) => ({
  operationId: `renew${capital(role)}Key`,
  tags: ['trust'],
  summary: `Another ${role} key, for the next root to name.`,
  description: 'The server goes on signing with the key that the newest root names.',
  security: [{ token: [] }],
  params,
  response: { ...KEY, ...problems(...REFUSALS, ...BODY_REFUSALS) },
})
type Params = { repository: string }

/** `GET` and `POST /v2/:repository/_trust/tuf/timestamp.key` and `snapshot.key`. */
export function onlineKeyRoutes(app: FastifyInstance, { auth, online, rootOf, store, clock }: AppDeps): void {
  for (const role of ONLINE_ROLES) {
    const url = `/v2/:repository/_trust/tuf/${role}.key`
    app.get<{ Params: Params }>(url, { schema: get(role) }, async (request, reply) => {
      const repository = repositoryName(request.params.repository)
      requireAction(await callerOf(auth, request), 'push', repository)
      const key = await online.offer(repository, role, await rootOf(repository))
      return reply.header('cache-control', 'no-store').send(keyObject(key))
    })
    app.post<{ Params: Params }>(url, { schema: renew(role) }, async (request, reply) => {
      const repository = repositoryName(request.params.repository)
      const caller = await callerOf(auth, request)
      requireAction(caller, 'push', repository)
      const { key, made } = await online.renew(repository, role, await rootOf(repository))
      const actor = caller.name === undefined ? {} : { actor: caller.name }
      const entry = { at: clock(), ...actor, request: request.id, detail: { role, keyid: key.id } }
      if (made) await store.audit.add({ ...entry, action: 'key.renew', subject: repository })
      return reply.header('cache-control', 'no-store').send(keyObject(key))
    })
  }
}

function keyObject({ keytype, scheme, public: text }: PublicKey) {
  return { keytype, scheme, keyval: { public: text } }
}
