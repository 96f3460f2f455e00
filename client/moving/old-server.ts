/** Reading from the Notary server that a repository is moved from: token authentication as its own clients do it. */
import { openAuth } from '../registry/auth.ts'
import type { Ask, Auth } from '../registry/auth.ts'
import { Secret } from '../registry/credentials.ts'
import type { Credentials } from '../registry/credentials.ts'
import type { Channel } from '../registry/destination.ts'
import { isRegistryError, RegistryError } from '../registry/errors.ts'
import { follow } from '../registry/follow.ts'
import { deadlineIn, drain, useHttp } from '../registry/http.ts'
import type { Http, Response } from '../registry/http.ts'
import { REGISTRY_LIMITS } from '../registry/limits.ts'
import type { RepositoryName } from '../registry/reference.ts'
import { refuseStatus } from '../registry/status.ts'
import type { Http as Transport } from '../http.ts'
import type { PlainHosts } from '../plain-hosts.ts'
import { metadataUrlOf } from '../trust/fetch.ts'
import type { MetadataSource } from '../trust/fetch.ts'
import { TrustError } from '../../tuf/index.ts'

export type OldServerOptions = {
  /** As it was given to `notary -s` or in DOCKER_CONTENT_TRUST_SERVER. */
  readonly url: string
  readonly repository: RepositoryName
  readonly http: Transport
  /** Hosts that were named for plain http. */
  readonly plainHosts: PlainHosts
  readonly credentials: Credentials
  readonly monotonic: () => number
}

/**
 * What the old server says of one repository. Whether and how it wants a login, it says at `/v2/` alone: its clients look
 * nowhere else, and its servers say nothing of it elsewhere (Notary's own rule).
 */
export function openOldServer(options: OldServerOptions): MetadataSource {
  const base = metadataUrlOf(options.url, options.repository.name)
  const server: Server = { ...standingOf(options), base, name: options.repository.name }
  let asked: Promise<void> | undefined
  return {
    async get(name, maxBytes, signal) {
      try {
        asked ??= login(server, signal)
        await asked
        return await read(server, name, { what: `${name} of ${server.name}`, maxBytes, signal })
      } catch (error) {
        throw ofOldServer(error)
      }
    },
  }
}

/** Its authority is given by another option than that of registries. */
function ofOldServer(error: unknown): unknown {
  if (!isRegistryError(error) || error.code !== 'CERTIFICATE_REFUSED') return error
  return new RegistryError('CERTIFICATE_REFUSED', { ...error.detail, option: '--from-ca' }, { cause: error })
}

async function read(server: Server, name: string, reading: Reading): Promise<Uint8Array | undefined> {
  const response = await fetchFile(server, name, reading.what, reading.signal)
  if (response.status !== 404) return await readFile(server, response, reading)
  await drain(response)
  return undefined
}

type Server = {
  readonly http: Http
  readonly channel: Channel
  readonly auth: Auth
  readonly base: string
  readonly name: string
}

function standingOf({ url, repository, http: transport, plainHosts, credentials, monotonic }: OldServerOptions) {
  const http = useHttp(transport, REGISTRY_LIMITS)
  const channel: Channel = { base: new URL(url), plainHosts }
  const auth = openAuth({
    registry: repository.registry,
    channel,
    credentials,
    http,
    limits: REGISTRY_LIMITS,
    monotonic,
  })
  return { http, channel, auth }
}

/** A ping that is answered needs no login; a 401 says where to get a token. */
async function login(server: Server, signal: AbortSignal | undefined): Promise<void> {
  const { http, channel, auth } = server
  const url = new URL(`${server.base.slice(0, server.base.indexOf('/v2/'))}/v2/`)
  const deadline = deadlineIn(REGISTRY_LIMITS.requestMs, signal)
  const request = { method: 'GET', url, headers: ACCEPT, what: 'its version' } as const
  const response = await follow(http, channel, request, REGISTRY_LIMITS.redirects, deadline)
  await drain(response)
  if (response.status === 200) return
  if (response.status === 401)
    return await auth.renew(askFor(server, 'its trust data', signal), response, auth.header(server.name))
  return refuseStatus(response, new Uint8Array(), 'its version')
}

const ACCEPT = { accept: 'application/json, */*' }

function askFor({ name }: Server, what: string, signal: AbortSignal | undefined): Ask {
  return { repository: name, what, ...(signal === undefined ? {} : { signal }) }
}

/** A token that ran out meanwhile is renewed once. */
async function fetchFile(
  server: Server,
  name: string,
  what: string,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const { http, channel, auth, base } = server
  for (let renewed = false; ; renewed = true) {
    const sent = auth.header(server.name)
    const headers = { ...ACCEPT, ...(sent === undefined ? {} : { authorization: sent }) }
    const request = { method: 'GET', url: new URL(base + name), headers, what } as const
    const deadline = deadlineIn(REGISTRY_LIMITS.requestMs, signal)
    const response = await follow(http, channel, request, REGISTRY_LIMITS.redirects, deadline)
    if (response.status !== 401) return response
    await drain(response)
    if (renewed) throw auth.unauthorized(askFor(server, what, signal))
    await login(server, signal)
  }
}

type Reading = { readonly what: string; readonly maxBytes: number; readonly signal: AbortSignal | undefined }

async function readFile(
  { http }: Server,
  response: Response,
  { what, maxBytes, signal }: Reading,
): Promise<Uint8Array> {
  const deadline = deadlineIn(REGISTRY_LIMITS.requestMs, signal)
  try {
    if (response.status === 200) return await http.read(response, maxBytes, what, deadline)
    return refuseStatus(response, await http.read(response, MAX_ERROR, what, deadline), what)
  } catch (error) {
    if (!(error instanceof RegistryError) || error.code !== 'TOO_LARGE') throw error
    throw new TrustError('TOO_LARGE', { what, limit: maxBytes }, { cause: error })
  }
}

const MAX_ERROR = 64 * 1024

/** What `notary` reads from NOTARY_AUTH, base64 of `user:password`, comes before docker's logins. */
export function notaryCredentials(auth: string | undefined, otherwise: Credentials): Credentials {
  const text = Buffer.from(auth ?? '', 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 1) return otherwise
  const credential = {
    kind: 'basic',
    username: text.slice(0, colon),
    password: new Secret(text.slice(colon + 1)),
  } as const
  return { find: async () => credential }
}
