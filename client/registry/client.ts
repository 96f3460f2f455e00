import { openHttp, type Http as Transport } from '../http.ts'
import { monotonicNow } from '../monotonic.ts'
import { plainHostsOf } from '../plain-hosts.ts'
import { type Ask, type Auth, openAuth } from './auth.ts'
import { openChannel } from './channel.ts'
import { NO_CREDENTIALS } from './credentials.ts'
import type { Channel } from './destination.ts'
import { follow } from './follow.ts'
import { type Deadline, deadlineIn, drain, type Http, type Response, useHttp } from './http.ts'
import type { RegistryLimits } from './limits.ts'
import { lookupOutside } from './lookup.ts'
import type { RepositoryName } from './reference.ts'
import { type Patience, retrying, sleep } from './retry.ts'
import type { RegistrySettings } from './settings.ts'
import { share } from './share.ts'
import { refuseStatus } from './status.ts'

/** One thing asked of a registry. `path` comes after `/v2/REPOSITORY/`. */
export type Call = {
  readonly ref: RepositoryName
  readonly method: 'GET' | 'HEAD'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** A large body is asked for: its chunks are then good until the next one is asked for. */
  readonly bulk?: boolean
  /** In the words of an error message. */
  readonly what: string
  readonly signal: AbortSignal | undefined
}

/** Requests with everything around them: logins, redirects, retries, and the clock. */
export type Client = {
  readonly http: Http
  readonly limits: RegistryLimits
  /** One try. The answer is 200, 206 or 404; everything else has been thrown. */
  readonly ask: (call: Call, deadline: Deadline) => Promise<Response>
  /**
   * The same with the body let go, by HEAD; by GET where HEAD gets no proper answer, because links to object stores are
   * often good for GET alone, and because only GET's refusal has words.
   */
  readonly askHead: (call: Omit<Call, 'method'>, deadline: Deadline) => Promise<Response>
  readonly patiently: <T>(signal: AbortSignal | undefined, task: () => Promise<T>, done?: () => number) => Promise<T>
  readonly deadline: (signal: AbortSignal | undefined, milliseconds?: number) => Deadline
  readonly close: () => Promise<void>
}

type Standing = { readonly channel: Channel; readonly auth: Auth }

export function openClient(settings: RegistrySettings, limits: RegistryLimits): Client {
  const { userAgent = 'tagseal', credentials = NO_CREDENTIALS } = settings
  const { plainHttp = false } = settings
  const { monotonic = monotonicNow } = settings
  const transport = settings.http ?? openTransport(settings, userAgent)
  const http = useHttp(transport, limits)
  const patience: Patience = { limits, sleep: settings.sleep ?? sleep, random: settings.random ?? Math.random }
  const standings = new Map<string, Standing>()
  const underway = new Map<string, Promise<Standing>>()
  const standing = async (registry: string, deadline: Deadline): Promise<Standing> => {
    const known = standings.get(registry)
    if (known !== undefined) return known
    const open = async () => {
      const channel = await openChannel(registry, plainHttp, http, deadline)
      return { channel, auth: openAuth({ registry, channel, credentials, http, limits, monotonic }) }
    }
    const opened = await share(underway, registry, open, deadline.caller)
    standings.set(registry, opened)
    return opened
  }
  const send = async (call: Call, deadline: Deadline) =>
    exchange(await standing(call.ref.registry, deadline), http, limits, call, deadline)
  const ask: Client['ask'] = async (call, deadline) => {
    const response = await send(call, deadline)
    if (PROPER.has(response.status)) return response
    return refuseStatus(response, await errorBody(http, response, call, deadline), call.what)
  }
  return {
    http,
    limits,
    ask,
    async askHead(call, deadline) {
      const response = await send({ ...call, method: 'HEAD' }, deadline)
      await drain(response)
      if (PROPER.has(response.status)) return response
      const whole = await ask({ ...call, method: 'GET' }, deadline)
      await drain(whole)
      return whole
    },
    patiently: (signal, task, done) => retrying(patience, signal, task, done),
    deadline: (signal, milliseconds = limits.requestMs) => deadlineIn(milliseconds, signal),
    close: async () => transport.close(),
  }
}

const PROPER = new Set([200, 206, 404])
const ERROR_BODY = 64 * 1024

/** A login is renewed once: a fresh one that is refused will be refused again. */
async function exchange(
  { channel, auth }: Standing,
  http: Http,
  limits: RegistryLimits,
  call: Call,
  deadline: Deadline,
): Promise<Response> {
  const { ref, method, bulk = false, what, signal } = call
  const ask: Ask = { repository: ref.repository, what, ...(signal === undefined ? {} : { signal }) }
  const url = new URL(`/v2/${ref.repository}/${call.path}`, channel.base)
  for (let renewed = false; ; renewed = true) {
    const sent = auth.header(ref.repository)
    const headers = { ...call.headers, ...(sent === undefined ? {} : { authorization: sent }) }
    const response = await follow(http, channel, { method, url, headers, bulk, what }, limits.redirects, deadline)
    // A 401 from where a redirect led is no question of the registry's, and gets no login.
    if (response.status !== 401 || response.url.origin !== channel.base.origin) return response
    await drain(response)
    if (renewed) throw auth.unauthorized(ask)
    await auth.renew(ask, response, sent)
  }
}

/** As much of the registry's own words as is worth reading. */
async function errorBody(http: Http, response: Response, call: Call, deadline: Deadline): Promise<Uint8Array> {
  try {
    return await http.read(response, ERROR_BODY, call.what, deadline)
  } catch (error) {
    if (deadline.signal.aborted) throw error
    return new Uint8Array() // the status alone has to do
  }
}

function openTransport({ ca, plainHttp = false, maxSockets }: RegistrySettings, userAgent: string): Transport {
  const plain = plainHostsOf(typeof plainHttp === 'boolean' ? [] : plainHttp).has
  const sockets = maxSockets === undefined ? {} : { maxSockets }
  const authorities = ca === undefined ? {} : { ca }
  return openHttp({ userAgent, plainHttp: plain, lookup: lookupOutside(), ...sockets, ...authorities })
}
