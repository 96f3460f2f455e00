import { Ajv } from 'ajv'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { loadSettings, type Settings } from '../../../server/config.ts'
import { NOTARY_REFUSAL } from '../../../server/notary-problem.ts'
import type { Services } from '../../../server/services.ts'
import { openServices } from '../../../server/start.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { tufCodec, type PublicKey } from '../../../tuf/index.ts'
import { createToken, type NewToken } from '../../../server/auth/tokens.ts'
import { multipart, newOwner, signBoth, type Files, type OnlineKeyPair, type Owner } from './party.ts'

export const REPO = 'registry.example.com/team/app'
export const NOW = Date.parse('2026-11-24T12:00:00Z')

export type TestServer = {
  readonly services: Services
  readonly app: FastifyInstance
  readonly settings: Settings
  readonly dir: string
  /** Where the clock stands; write it to move time. */
  readonly clock: { now: number }
  readonly token: (wanted: Partial<NewToken>) => Promise<string>
  readonly get: (url: string, headers?: Record<string, string>) => ReturnType<typeof send>
  readonly publish: (files: Files, options?: PublishOptions) => ReturnType<typeof send>
  readonly onlineKeys: (repository?: string) => Promise<OnlineKeyPair>
  /** A repository that was just created with these tags. */
  readonly create: (tags?: readonly string[], repository?: string) => Promise<Owner>
}
export type PublishOptions = {
  readonly repository?: string
  readonly headers?: Record<string, string>
  readonly types?: Readonly<Record<string, string>>
}

type Teardown = { readonly teardown: (end: () => unknown) => unknown }

/** A server without a socket; every answer it gives is held against the schema of its route. */
export async function openTestServer(
  t: Teardown,
  flags: Partial<Record<keyof Settings, string | number | boolean>> = {},
  clock = { now: NOW },
): Promise<TestServer> {
  const dir = typeof flags.data === 'string' ? flags.data : mkdtempSync(join(tmpdir(), 'tagseal-server-'))
  const settings = loadSettings({ flags: { open: true, ...flags, data: dir }, env: {} })
  const services = await openServices(settings, {
    clock: () => clock.now,
    random: () => 0.5,
    monotonic: () => clock.now,
    env: {},
    logger: pino({ level: 'silent' }),
  })
  const { app } = services
  nameWhatIsAccepted(app)
  checkAnswers(app)
  await app.ready()
  t.teardown(async () => {
    await services.close()
    if (flags.data === undefined) rmSync(dir, { recursive: true, force: true })
  })
  const get = (url: string, headers: Record<string, string> = {}) => send(app, { method: 'GET', url, headers })
  const onlineKeys = async (repository = REPO) => ({
    timestamp: keyOf((await get(`/v2/${repository}/_trust/tuf/timestamp.key`)).json()),
    snapshot: keyOf((await get(`/v2/${repository}/_trust/tuf/snapshot.key`)).json()),
  })
  const publish = (files: Files, { repository = REPO, headers = {}, types = {} }: PublishOptions = {}) => {
    const body = multipart(files, types)
    return send(app, {
      method: 'POST',
      url: `/v2/${repository}/_trust/tuf/`,
      payload: body.payload,
      headers: { ...body.headers, ...headers },
    })
  }
  return {
    services,
    app,
    settings,
    dir,
    clock,
    get,
    publish,
    onlineKeys,
    async token(wanted) {
      const token = { name: `t${Math.random()}`, repository: '**', actions: ['push'] as const, ...wanted }
      return (await createToken(services.deps.store, token, { at: clock.now })).token
    },
    async create(tags = ['1.0'], repository = REPO) {
      const owner = await newOwner(await onlineKeys(repository), clock.now, tags)
      const answer = await publish(await signBoth(owner), { repository })
      if (answer.statusCode !== 200) throw new Error(answer.body)
      return owner
    },
  }
}

async function send(app: FastifyInstance, options: InjectOptions) {
  const answer = await app.inject(options)
  const failure = failures.get(String(answer.headers['x-request-id']))
  if (failure !== undefined) throw new Error(failure)
  return answer
}

export type KeyObject = {
  readonly keytype: string
  readonly scheme: string
  readonly keyval: { readonly public: string }
}

export function keyOf(object: KeyObject): PublicKey {
  return tufCodec.key({ ...object, public: object.keyval.public }, nativeSuite)
}

/** Most clients do, and are told by it from those that are written in Go, such as notary and docker. */
function nameWhatIsAccepted(app: FastifyInstance): void {
  app.addHook('onRequest', async ({ headers }) => {
    if (headers['user-agent'] !== GO) headers.accept ??= '*/*'
  })
}
export const GO = 'Go-http-client/1.1'

function saysNotary(status: number, payload: string): boolean {
  return status >= 400 && ajv.validate(NOTARY_REFUSAL, JSON.parse(payload))
}

const failures = new Map<string, string>()
const ajv = new Ajv({ strict: false })

/** A status or a body that the route does not declare fails the test that provoked it. */
function checkAnswers(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload: unknown) => {
    const declared = request.routeOptions.schema?.response as Record<string, object> | undefined
    if (declared === undefined || request.method === 'HEAD' || reply.hasHeader('content-encoding')) return payload
    const where = `${request.method} ${request.routeOptions.url} answered ${reply.statusCode}`
    const schema = declared[reply.statusCode]
    if (schema === undefined) failures.set(request.id, `${where}, which it does not declare`)
    else if (String(reply.getHeader('content-type')).startsWith('application/json')) {
      const validate = ajv.compile(schema)
      if (!validate(JSON.parse(String(payload))) && !saysNotary(reply.statusCode, String(payload)))
        failures.set(request.id, `${where}: ${ajv.errorsText(validate.errors)}`)
    }
    return payload
  })
}
