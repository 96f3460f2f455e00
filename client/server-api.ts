/** What the trust server is asked beside metadata: to publish, for its online keys, and what a tag meant. */
import { decodeJson, encodeText, isJsonObject, isTrustError, member } from '../tuf/index.ts'
import type { Json, JsonObject, PublicKey, RoleName } from '../tuf/index.ts'
import { HttpError } from './http-errors.ts'
import { instantOf, listOf, problemOf, textOf } from './server-answers.ts'
import type { Reply } from './server-answers.ts'
import { readBody } from './http.ts'
import type { Http, HttpRequest, HttpResponse } from './http.ts'
import { multipart } from './multipart.ts'
import { proposalsApi } from './proposals/api.ts'
import type { ProposalsApi } from './proposals/api.ts'
import { PublishError } from './publish/errors.ts'
import { baseUrl, metadataUrlOf } from './trust/fetch.ts'

export type OnlineRole = 'timestamp' | 'snapshot'
/** A key as the server gives it: in TUF 1.0's words, or with no scheme in Notary's. */
export type KeyFields = Pick<PublicKey, 'keytype' | 'public'> & { readonly scheme: string | undefined }

/** The files that the server signed for a publish, as it will serve them; to be verified like any other. */
export type Signed = { readonly timestamp?: Uint8Array; readonly snapshot?: Uint8Array }

/** `unsigned` are roles that clients refuse until their new keys have signed them. */
export type Stored = { readonly kind: 'stored'; readonly unsigned: readonly string[]; readonly signed: Signed }

/** `conflict`: somebody else published that role first; nothing was stored. */
export type Upload =
  | Stored
  | { readonly kind: 'conflict'; readonly role: string | undefined; readonly current: number | undefined }

/** What a tag meant from `at` (milliseconds) on; `digest` is undefined where it was taken out. */
export type HistoryEntry = {
  readonly tag: string
  readonly at: number
  readonly digest: string | undefined
  /** In bytes, where there is a digest. */
  readonly length: number | undefined
  /** A hash over what was signed with it besides; empty for nothing, undefined where that was not kept. */
  readonly besides: string | undefined
  readonly role: string
  readonly version: number
  readonly keyids: readonly string[]
  readonly by: string | undefined
}

/** Who may sign as a delegated role, and what: as a server remembers it. */
export type DelegationEntry = {
  readonly keys: readonly { readonly keytype: string; readonly scheme: string; readonly public: string }[]
  readonly threshold: number
  readonly scope: { readonly kind: string; readonly patterns: readonly string[] }
  readonly terminating: boolean
}

/** A delegation that was changed since some moment, and how it was just before that. */
export type ChangedDelegation = {
  readonly delegator: string
  readonly role: string
  /** Of the delegator's file, with the last change. */
  readonly version: number
  readonly at: number
  readonly keyids: readonly string[]
  readonly by: string | undefined
  readonly before: DelegationEntry | undefined
}
/** The roles below a delegator in the order in which they were asked at some moment: since then another, or one left. */
export type ChangedOrder = Omit<ChangedDelegation, 'role' | 'version' | 'before'> & {
  readonly before: readonly string[]
}
export type Changes = {
  readonly tags: readonly string[]
  readonly delegations: readonly ChangedDelegation[]
  /** undefined where the server keeps no such record. */
  readonly orders: readonly ChangedOrder[] | undefined
}

/** Which timestamp somebody was served last, by the word of the server. */
export type Sighting = { readonly who: string; readonly version: number; readonly at: number }

/** One repository on one server. An answer without a meaning throws; what the wire refuses is an `HttpError`. */
export type ServerApi = {
  readonly server: string
  /** The public key the server will sign with, made when it is first asked for. */
  readonly onlineKey: (role: OnlineRole) => Promise<KeyFields>
  /**
   * A new one, which the server signs with as soon as a root names it. A `fresh` one was made just now; otherwise it may
   * have waited for a while, and been copied with everything else.
   */
  readonly newOnlineKey: (role: OnlineRole, fresh: boolean) => Promise<KeyFields>
  /** All or nothing; nothing as well where the snapshot is by now another one than `seen`, given by its sha256. */
  readonly upload: (files: ReadonlyMap<RoleName, Uint8Array>, seen?: string) => Promise<Upload>
  /** The whole of a repository from another server, by file names; all or nothing. */
  readonly moveIn: (files: ReadonlyMap<string, Uint8Array>) => Promise<void>
  /** Newest first, at most `limit`. */
  readonly history: (tag: string, limit: number) => Promise<readonly HistoryEntry[]>
  /** Newest first, page by page, for as long as somebody reads on. */
  readonly wholeHistory: (tag: string) => AsyncIterable<HistoryEntry>
  /** What time the server has, in milliseconds since 1970; undefined where it does not say. */
  readonly clock: () => Promise<number | undefined>
  /** What was changed at that moment (milliseconds) or later. */
  readonly changes: (since: number) => Promise<Changes>
  /** What waits there for signatures. */
  readonly proposals: ProposalsApi
  /** Who was served which timestamp last; undefined where the server keeps no such record. */
  readonly sightings: () => Promise<readonly Sighting[] | undefined>
}

export type ServerApiOptions = {
  readonly http: Http
  readonly server: string
  readonly repository: string
  readonly token: string | undefined
  /** Where the token came from, for people. */
  readonly tokenFrom?: string
  readonly signal: AbortSignal
  /** How long one answer may take in all, and how many bytes a second an upload is expected to make. */
  readonly patience?: { readonly milliseconds: number; readonly rate: number }
}

const MAX_ANSWER = 4 * 1024 * 1024
/** A proposal may be some megabytes, and comes as text in JSON. */
const MAX_PROPOSALS = 64 * 1024 * 1024
/** A publish to a busy repository waits for its turn on the server. */
const PUBLISH_IDLE_MS = 60_000
const PATIENCE = { milliseconds: 180_000, rate: 1024 }

export function openServerApi(options: ServerApiOptions): ServerApi {
  const { server, repository } = options
  const trust = metadataUrlOf(server, repository)
  const ask = (request: Omit<HttpRequest, 'signal'>) => send(options, request)
  return {
    server,
    onlineKey: async (role) => keyFrom(server, await ask({ url: new URL(`${trust}${role}.key`) })),
    async newOnlineKey(role, fresh) {
      const url = new URL(`${trust}${role}.key${fresh ? '?fresh=true' : ''}`)
      return keyFrom(server, await ask({ url, method: 'POST' }))
    },
    async upload(files, seen) {
      const parts = [...files].map(([name, bytes]) => ({ name, bytes, contentType: 'application/json' }))
      const { contentType, body } = multipart('files', parts)
      const headers = { 'content-type': contentType, ...(seen === undefined ? {} : { 'if-match': `"${seen}"` }) }
      const answer = await ask({ url: new URL(trust), method: 'POST', headers, body, idleTimeout: PUBLISH_IDLE_MS })
      return uploadFrom(options, answer)
    },
    async moveIn(files) {
      const parts = [...files].map(([name, bytes]) => ({ name, bytes, contentType: 'application/json' }))
      const { contentType, body } = multipart('files', parts)
      const url = new URL(`${baseUrl(server)}v1/repositories/${encodeURIComponent(repository)}/_import`)
      const headers = { 'content-type': contentType }
      const answer = await ask({ url, method: 'POST', headers, body, idleTimeout: PUBLISH_IDLE_MS })
      if (answer.status !== 200) throw refusal(options, 400, answer.body)
    },
    async history(tag, limit) {
      return historyFrom(server, await ask({ url: historyUrl(options, { tag, limit: String(limit) }) }))
    },
    async *wholeHistory(tag) {
      for (let before: string | undefined = ''; before !== undefined; ) {
        const page = { tag, limit: '1000', ...(before === '' ? {} : { before }) }
        const reply = await ask({ url: historyUrl(options, page) })
        const entries = historyFrom(server, reply)
        yield* entries
        before = entries.length === 0 ? undefined : textOf(member(asObject(reply.body), 'next'))
      }
    },
    clock: async () => await clockOf(options),
    async changes(since) {
      const url = new URL(`${baseUrl(server)}v1/repositories/${encodeURIComponent(repository)}/_changes`)
      return await allChanges(server, async (from) => {
        url.search = new URLSearchParams({ since: new Date(since).toISOString(), limit: '1000', ...from }).toString()
        return (await ask({ url })).body
      })
    },
    proposals: proposalsApi({
      server,
      base: `${baseUrl(server)}v1/repositories/${encodeURIComponent(repository)}/proposals`,
      ask: async (request) => await send(options, request, MAX_PROPOSALS),
      refusal: ({ status, body }) => refusal(options, status, body),
    }),
    async sightings() {
      const url = new URL(`${baseUrl(server)}v1/repositories/${encodeURIComponent(repository)}/_sightings`)
      return sightingsFrom(server, (await ask({ url })).body)
    },
  }
}

/** What the server answers, of whichever repository; what it refuses is thrown. */
export async function askServer(
  options: ServerApiOptions,
  request: Omit<HttpRequest, 'signal'>,
): Promise<Json | undefined> {
  return (await send(options, request)).body
}

/** By the header of any answer; of one that nobody keeps for later, where the server is one of ours. */
async function clockOf(options: ServerApiOptions): Promise<number | undefined> {
  const request = { url: new URL(`${baseUrl(options.server)}healthz`) }
  const date = await inTime(options, request, async (signal) => {
    const response = await options.http.send({ ...request, signal })
    response.discard()
    return response.header('date')
  })
  const at = Date.parse(date ?? '')
  return Number.isNaN(at) ? undefined : at
}

async function send(
  options: ServerApiOptions,
  request: Omit<HttpRequest, 'signal'>,
  most = MAX_ANSWER,
): Promise<Reply> {
  const { status, body } = await inTime(options, request, async (signal) => {
    const { http, token, server } = options
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const response = await http.send({
      ...request,
      headers: { accept: 'application/json', ...authorization, ...request.headers },
      signal,
    })
    return { status: response.status, body: await readJson(server, response, most) }
  })
  if (status === 200 || status === 204 || isConflict(status, body)) return { status, body }
  throw refusal(options, status, body)
}

/** Notary's servers know no status for it. */
function isConflict(status: number, body: Json | undefined): boolean {
  return status === 409 || status === 412 || (status === 400 && problemOf(status, body).code === 'VERSION')
}

/** A byte every now and then is no silence, and would hold us for ever. */
async function inTime<T>(
  { patience = PATIENCE, signal }: ServerApiOptions,
  { url, body = [] }: Omit<HttpRequest, 'signal'>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const bytes = (body instanceof Uint8Array ? [body] : body).reduce((sum, part) => sum + part.length, 0)
  const milliseconds = Math.ceil(patience.milliseconds + (bytes / patience.rate) * 1000)
  const end = AbortSignal.timeout(milliseconds)
  try {
    return await work(AbortSignal.any([signal, end]))
  } catch (error) {
    if (!end.aborted || signal.aborted) throw error
    throw new HttpError('TIMEOUT', { url: `${url.origin}${url.pathname}`, milliseconds }, { cause: error })
  }
}

async function readJson(server: string, response: HttpResponse, most: number): Promise<Json | undefined> {
  const bytes = await readBody(response, most, `an answer of ${server}`)
  if (bytes.length === 0) return undefined // how a Notary server says that it is done
  try {
    return decodeJson(bytes, { depth: 16, what: 'answer' })
  } catch (error) {
    if (!isTrustError(error)) throw error
    if (response.status !== 200) return undefined // a proxy's own page: its status says enough
    throw new PublishError('BAD_ANSWER', { server, why: error.message }, { cause: error })
  }
}

function refusal(options: ServerApiOptions, status: number, body: Json | undefined): PublishError {
  const { server, repository, token, tokenFrom } = options
  const { code, message, detail } = problemOf(status, body)
  if (status === 401) {
    const sent = token === undefined || tokenFrom === undefined ? {} : { sent: tokenFrom }
    return new PublishError('UNAUTHORIZED', { server, why: message, ...sent })
  }
  if (status === 403) return new PublishError('DENIED', { server, repository })
  if (status === 404) return new PublishError('NOT_THERE', { server, why: message })
  if (status >= 500 || status === 408 || status === 429) {
    return new PublishError('SERVER_FAILED', { server, repository, status, reason: code, why: message })
  }
  if (status >= 400) return new PublishError('UPDATE_REFUSED', { repository, ...reasonOf(code, message, detail) })
  return new PublishError('BAD_ANSWER', { server, why: `status ${status}` })
}

/** A Notary server puts what is wrong with an upload into the detail: `{"Name":N,"Error":{"Msg":M}}`. */
function reasonOf(
  code: string,
  message: string,
  detail: JsonObject,
): { readonly reason: string; readonly why: string } {
  const error = member(detail, 'Error')
  const why = isJsonObject(error) ? textOf(member(error, 'Msg')) : undefined
  const reason = textOf(member(detail, 'code')) ?? textOf(member(detail, 'Name'))
  return { reason: reason ?? code, why: why ?? message }
}

function uploadFrom(options: ServerApiOptions, { status, body }: Reply): Upload {
  if (status === 200) {
    const unsigned = listOf(isJsonObject(body) ? member(body, 'unsigned') : undefined) ?? []
    const signed = isJsonObject(body) ? member(body, 'signed') : undefined
    return { kind: 'stored', unsigned: unsigned.filter((role) => typeof role === 'string'), signed: signedIn(signed) }
  }
  const { code, detail } = problemOf(status, body)
  if (code !== 'VERSION' && code !== 'SNAPSHOT_CHANGED') throw refusal(options, 400, body)
  const current = member(detail, 'current')
  return {
    kind: 'conflict',
    role: textOf(member(detail, 'role')),
    current: typeof current === 'number' ? current : undefined,
  }
}

function signedIn(signed: Json | undefined): Signed {
  const file = (role: OnlineRole) => (isJsonObject(signed) ? textOf(member(signed, role)) : undefined)
  const [timestamp, snapshot] = [file('timestamp'), file('snapshot')]
  return {
    ...(timestamp === undefined ? {} : { timestamp: encodeText(timestamp) }),
    ...(snapshot === undefined ? {} : { snapshot: encodeText(snapshot) }),
  }
}

function keyFrom(server: string, { body }: Reply): KeyFields {
  const key: JsonObject = isJsonObject(body) ? body : {}
  const keyval = member(key, 'keyval')
  const [keytype, scheme] = [textOf(member(key, 'keytype')), textOf(member(key, 'scheme'))]
  const publicText = isJsonObject(keyval) ? textOf(member(keyval, 'public')) : undefined
  if (keytype === undefined || publicText === undefined) {
    throw new PublishError('BAD_ANSWER', { server, why: 'it is no key' })
  }
  return { keytype, scheme, public: publicText }
}

function historyUrl({ server, repository }: ServerApiOptions, query: Readonly<Record<string, string>>): URL {
  const url = new URL(`${baseUrl(server)}v1/repositories/${encodeURIComponent(repository)}/history`)
  url.search = new URLSearchParams(query).toString()
  return url
}

function historyFrom(server: string, { body }: Reply): readonly HistoryEntry[] {
  const entries = listOf(isJsonObject(body) ? member(body, 'entries') : undefined)
  if (entries === undefined) throw new PublishError('BAD_ANSWER', { server, why: 'it is no history' })
  return entries.map((entry) => historyEntry(server, entry))
}

/** More than that nobody goes through. */
const MOST_CHANGES = 200_000

/** All of them, or a thief could have what he did stand behind the end of a page. */
async function allChanges(
  server: string,
  pageFrom: (from: Readonly<Record<string, string>>) => Promise<Json | undefined>,
): Promise<Changes> {
  const tags: string[] = []
  const delegations: ChangedDelegation[] = []
  let orders: readonly ChangedOrder[] | undefined
  const take = async (from: Readonly<Record<string, string>>) => {
    const page = asObject(await pageFrom(from))
    const names = listOf(member(page, 'tags'))?.filter((tag) => typeof tag === 'string')
    const told = listOf(member(page, 'delegations'))
    const [next, nextDelegation] = [textOf(member(page, 'next')), textOf(member(page, 'nextDelegation'))]
    const leadsOn = (next !== undefined && names?.length === 0) || (nextDelegation !== undefined && told?.length === 0)
    const isTooLong = tags.length + delegations.length > MOST_CHANGES
    if (names === undefined || told === undefined || leadsOn || isTooLong) {
      throw new PublishError('BAD_ANSWER', { server, why: 'it is no list of changes' })
    }
    tags.push(...names)
    delegations.push(...told.map((each) => changedDelegation(server, asObject(each))))
    orders ??= listOf(member(page, 'orders'))?.map((each) => changedOrder(server, asObject(each)))
    return { next, nextDelegation }
  }
  const { next, nextDelegation } = await take({})
  for (let after = next; after !== undefined; ) after = (await take({ after })).next
  for (let after = nextDelegation; after !== undefined; ) {
    after = (await take({ afterDelegation: after })).nextDelegation
  }
  return { tags, delegations, orders }
}

function changedDelegation(server: string, value: JsonObject): ChangedDelegation {
  const [delegator, role] = [textOf(member(value, 'delegator')), textOf(member(value, 'role'))]
  const [at, version] = [instantOf(member(value, 'at')), member(value, 'version')]
  if (delegator === undefined || role === undefined || at === undefined || typeof version !== 'number') {
    throw new PublishError('BAD_ANSWER', { server, why: 'a changed delegation is malformed' })
  }
  const [before, by] = [member(value, 'before'), textOf(member(value, 'by'))]
  const known = before === undefined || before === null ? undefined : delegationEntry(before)
  if (known === undefined && before !== null) {
    throw new PublishError('BAD_ANSWER', { server, why: 'a changed delegation is malformed' })
  }
  return { delegator, role, version, at, by, keyids: textsOf(member(value, 'keyids')), before: known }
}

function changedOrder(server: string, value: JsonObject): ChangedOrder {
  const [delegator, at] = [textOf(member(value, 'delegator')), instantOf(member(value, 'at'))]
  const [before, by] = [listOf(member(value, 'before')), textOf(member(value, 'by'))]
  if (delegator === undefined || at === undefined || before === undefined) {
    throw new PublishError('BAD_ANSWER', { server, why: 'a changed order of delegations is malformed' })
  }
  return { delegator, at, by, keyids: textsOf(member(value, 'keyids')), before: textsOf(before) }
}

function sightingsFrom(server: string, body: Json | undefined): readonly Sighting[] | undefined {
  const value = asObject(body)
  const list = listOf(member(value, 'sightings'))
  if (list === undefined) throw new PublishError('BAD_ANSWER', { server, why: 'it is no list of sightings' })
  if (member(value, 'kept') !== true) return undefined
  return list.flatMap((each) => {
    const [who, at] = [textOf(member(asObject(each), 'who')), instantOf(member(asObject(each), 'at'))]
    const version = member(asObject(each), 'version')
    return who === undefined || at === undefined || typeof version !== 'number' ? [] : [{ who, version, at }]
  })
}

/** How a delegation is written beside metadata; undefined for what is none. */
export function delegationEntry(json: Json): DelegationEntry | undefined {
  const value = asObject(json)
  const scope = asObject(member(value, 'scope'))
  const [threshold, terminating] = [member(value, 'threshold'), member(value, 'terminating')]
  const [kind, patterns] = [textOf(member(scope, 'kind')), textsOf(member(scope, 'patterns'))]
  const keys = (listOf(member(value, 'keys')) ?? []).flatMap((key) => {
    const [keytype, scheme, text] = ['keytype', 'scheme', 'public'].map((name) => textOf(member(asObject(key), name)))
    return keytype === undefined || scheme === undefined || text === undefined
      ? []
      : [{ keytype, scheme, public: text }]
  })
  if (typeof threshold !== 'number' || typeof terminating !== 'boolean' || kind === undefined) return undefined
  return { keys, threshold, scope: { kind, patterns }, terminating }
}

function asObject(json: Json | undefined): JsonObject {
  return isJsonObject(json) ? json : {}
}

function textsOf(json: Json | undefined): readonly string[] {
  return (listOf(json) ?? []).filter((each) => typeof each === 'string')
}

function historyEntry(server: string, entry: Json): HistoryEntry {
  const value: JsonObject = isJsonObject(entry) ? entry : {}
  const [tag, role] = [textOf(member(value, 'tag')), textOf(member(value, 'role'))]
  const [at, version, length] = [instantOf(member(value, 'at')), member(value, 'version'), member(value, 'length')]
  if (tag === undefined || role === undefined || at === undefined || typeof version !== 'number') {
    throw new PublishError('BAD_ANSWER', { server, why: 'an entry of the history is malformed' })
  }
  return {
    tag,
    role,
    at,
    version,
    digest: textOf(member(value, 'digest')),
    length: typeof length === 'number' ? length : undefined,
    besides: textOf(member(value, 'besides')),
    keyids: textsOf(member(value, 'keyids')),
    by: textOf(member(value, 'by')),
  }
}
