import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { parseScopes } from '../auth/access.ts'
import { passwordOf } from '../auth/credentials.ts'
import { makeGranting } from '../auth/granting.ts'
import { makeGuessLimit } from '../auth/guesses.ts'
import type { Settings } from '../config.ts'
import { Problem, isProblem } from '../problem.ts'
import type { TokenRecord } from '../storage/store.ts'
import { callerOf, noteCaller } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { BODY_REFUSALS, INSTANT, iso, problems } from './schema.ts'

const ping = {
  operationId: 'ping',
  tags: ['access'],
  summary: 'Whether the caller is known here.',
  description:
    'docker and notary ask this first, and take from its `WWW-Authenticate` where access tokens are had. Repositories that are open to everybody can be read without.',
  security: [{ token: [] }],
  response: {
    200: { description: 'Known, or nobody has to be.', type: 'object', additionalProperties: false, properties: {} },
    ...problems('UNAUTHORIZED'),
  },
} as const

const TEXT = { type: 'string', maxLength: 1024 } as const
const SCOPES = {
  description: 'Such as `repository:registry.example.com/team/app:push,pull`; several, or several in one by blanks.',
  oneOf: [
    { type: 'string', maxLength: 8192 },
    { type: 'array', maxItems: 64, items: { type: 'string', maxLength: 8192 } },
  ],
} as const
const FIELDS = {
  service: { ...TEXT, description: 'Where the access token shall count; here, where it is not given.' },
  scope: SCOPES,
} as const

const ISSUED = {
  200: {
    description: 'The access token (JWT). It grants what of the scope the caller may do, which may be nothing.',
    type: 'object',
    required: ['token', 'access_token', 'expires_in', 'issued_at'],
    additionalProperties: false,
    properties: {
      token: { type: 'string' },
      access_token: { type: 'string', description: 'The same, by the name that OAuth has for it.' },
      expires_in: { type: 'integer', minimum: 60, description: 'Seconds.' },
      issued_at: INSTANT,
      scope: { type: 'string', description: 'What is granted.' },
    },
  },
} as const
const REFUSALS = ['UNAUTHORIZED', 'TOO_MANY_REQUESTS', 'STORAGE_FULL'] as const

const get = {
  operationId: 'getAccessToken',
  tags: ['access'],
  summary: 'An access token for a while, for the token of the Basic credentials or for anybody.',
  description:
    'As the distribution token specification has it. The password is a token (`tst_…`); its secret alone counts, the user name may be any.',
  security: [{}, { basic: [] }],
  querystring: {
    type: 'object',
    properties: { ...FIELDS, account: { ...TEXT, description: 'The user name once more; not looked at.' } },
  },
  response: { ...ISSUED, ...problems(...REFUSALS) },
} as const

const post = {
  operationId: 'postAccessToken',
  tags: ['access'],
  summary: 'The same, with the credentials in a form (OAuth 2.0).',
  consumes: ['application/x-www-form-urlencoded'],
  security: [],
  body: {
    type: 'object',
    required: ['grant_type'],
    properties: {
      grant_type: { type: 'string', enum: ['password', 'refresh_token'] },
      username: TEXT,
      password: { ...TEXT, description: 'A token (`tst_…`).' },
      refresh_token: { ...TEXT, description: 'A token (`tst_…`), where it is the grant.' },
      ...FIELDS,
    },
  },
  response: { ...ISSUED, ...problems(...REFUSALS, ...BODY_REFUSALS) },
} as const

type Wish = { readonly service?: string; readonly scope?: string | readonly string[] }
type Form = Wish & { readonly grant_type: string; readonly password?: string; readonly refresh_token?: string }

/** `GET /v2/`, and `GET` and `POST /token`, where docker and notary get access tokens. */
export function tokenAuthRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { auth } = deps
  app.get('/v2/', { schema: ping }, async (request, reply) => {
    void reply.header('cache-control', 'no-store')
    if ((await callerOf(auth, request)).lacks === 'token')
      throw new Problem('UNAUTHORIZED', { reason: 'none is given' })
    return reply.send({})
  })
  if (issuesOutside(deps.settings)) return
  // Apart from the others, which take no forms.
  void app.register(async (scope) => issuingRoutes(scope, makeAnswer(deps)))
}

function issuesOutside({ tokenCertificates, tokenJwks }: Settings): boolean {
  return tokenCertificates !== undefined || tokenJwks !== undefined
}

const FORM = 'application/x-www-form-urlencoded'

async function issuingRoutes(app: FastifyInstance, answer: Answer): Promise<void> {
  app.addContentTypeParser(FORM, { parseAs: 'string' }, (_request, body, done) => done(null, fieldsOf(String(body))))
  app.get<{ Querystring: Wish }>('/token', { schema: get }, (request, reply) =>
    answer(request, reply, request.query, passwordOf(request.headers.authorization)),
  )
  app.post<{ Body: Form }>('/token', { schema: post }, (request, reply) => {
    if (request.mediaType !== FORM) throw new Problem('UNSUPPORTED_MEDIA_TYPE', { wanted: FORM })
    const { grant_type: grant, password = '', refresh_token: refresh = '' } = request.body
    return answer(request, reply, request.body, grant === 'password' ? password : refresh)
  })
}

/** A field that is given twice becomes a list, which only `scope` may be. */
function fieldsOf(form: string): object {
  const fields = new Map<string, string | string[]>()
  for (const [name, value] of new URLSearchParams(form)) {
    const before = fields.get(name)
    fields.set(name, before === undefined ? value : [before, value].flat())
  }
  return Object.fromEntries(fields)
}

type Answer = (request: FastifyRequest, reply: FastifyReply, wish: Wish, secret?: string) => Promise<FastifyReply>

function makeAnswer({ auth, clock, issuer, settings }: AppDeps): Answer {
  const granting = makeGranting(settings)
  const guesses = makeGuessLimit(clock)
  return async (request, reply, { service: wanted, scope = [] }, secret) => {
    const service = granting.serviceOf(wanted)
    if (service === undefined) throw new Problem('INVALID_REQUEST', { reason: 'no tokens are issued for this service' })
    const scopes = parseScopes([scope].flat())
    if (scopes === undefined) throw new Problem('INVALID_REQUEST', { reason: 'the scope is malformed, or too long' })
    const holder = secret === undefined ? undefined : await holderOf(secret, request.ip)
    if (holder !== undefined) noteCaller(request, holder.name)
    const access = granting.grant(service, scopes, holder)
    const vouched = holder === undefined ? {} : { holder }
    const { token, issuedAt, expiresIn } = await issuer.issue({ ...vouched, service: service.name, access })
    return reply.header('cache-control', 'no-store').send({
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: iso(issuedAt * 1000),
      scope: access.map(({ type, name, actions }) => `${type}:${name}:${actions.join(',')}`).join(' '),
    })
  }

  async function holderOf(secret: string, address: string): Promise<TokenRecord> {
    try {
      return await auth.holderOf(secret)
    } catch (error) {
      if (!isProblem(error) || !guesses.wrong(address)) throw error
      throw new Problem('TOO_MANY_REQUESTS', { what: 'wrong credentials' }, { cause: error })
    }
  }
}
