import { isJsonObject, type JsonObject, member } from '../../tuf/model/json.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { Credential, Credentials } from './credentials.ts'
import { type Channel, mayHoldLogin, whyRefused } from './destination.ts'
import { printable, RegistryError } from './errors.ts'
import { follow } from './follow.ts'
import { deadlineIn, type Http, type Request, type Response } from './http.ts'
import { parseStrictJson } from './json.ts'
import type { RegistryLimits } from './limits.ts'
import { share } from './share.ts'
import { refuseStatus } from './status.ts'

/** Our standing with one registry: which `Authorization` header goes with a request, and how to get a better one. */
export type Auth = {
  readonly header: (repository: string) => string | undefined
  /** Answers a 401: afterwards `header` gives another one than was refused. Throws UNAUTHORIZED where nothing can. */
  readonly renew: (ask: Ask, refused: Response, sent: string | undefined) => Promise<void>
  /** What to throw when even that is refused. */
  readonly unauthorized: (ask: Ask) => RegistryError
}

export type Ask = { readonly repository: string; readonly what: string; readonly signal?: AbortSignal }

export type AuthSettings = {
  /** The registry as logins know it: `docker.io`. */
  readonly registry: string
  readonly channel: Channel
  readonly credentials: Credentials
  readonly http: Http
  readonly limits: RegistryLimits
  /** Milliseconds on a clock that nobody sets. */
  readonly monotonic: () => number
}

/** `anonymous`: no login stands behind it. `until` is on the monotonic clock. */
type Pass = { readonly header: string; readonly until: number; readonly anonymous: boolean }

export function openAuth(settings: AuthSettings): Auth {
  const passes = new Map<string, Pass>()
  const underway = new Map<string, Promise<Pass>>()
  const current = (repository: string) => {
    const pass = passes.get(repository)
    return pass !== undefined && settings.monotonic() < pass.until ? pass.header : undefined
  }
  return {
    header: current,
    async renew(ask, refused, sent) {
      if (current(ask.repository) !== sent && current(ask.repository) !== undefined) return // somebody was faster
      passes.delete(ask.repository)
      const pass = await share(underway, ask.repository, () => earn(settings, ask, refused), ask.signal)
      passes.set(ask.repository, pass)
    },
    unauthorized: (ask) => unauthorized(settings, ask, passes.get(ask.repository)?.anonymous === false),
  }
}

/** Bearer before Basic, as every client has it; what else a registry offers is not for us. */
async function earn(settings: AuthSettings, ask: Ask, refused: Response): Promise<Pass> {
  const challenges = parseChallenges(refused.headerValues('www-authenticate'))
  const bearer = challenges.find(({ scheme }) => scheme === 'bearer')
  if (bearer !== undefined) return earnToken(settings, ask, bearer)
  if (challenges.some(({ scheme }) => scheme === 'basic')) return earnBasic(settings, ask)
  const why = 'it wants a login and names no way to give one that is known here'
  throw new RegistryError('BAD_RESPONSE', { host: settings.channel.base.host, what: ask.what, why })
}

async function earnBasic(settings: AuthSettings, ask: Ask): Promise<Pass> {
  const { credentials, registry, channel } = settings
  const credential = mayHoldLogin(channel, channel.base) ? await credentials.find(registry, ask.signal) : undefined
  if (credential?.kind !== 'basic') throw unauthorized(settings, ask, false)
  return { header: basic(credential), until: Number.POSITIVE_INFINITY, anonymous: false }
}

async function earnToken(settings: AuthSettings, ask: Ask, challenge: Challenge): Promise<Pass> {
  const realm = realmOf(settings, challenge)
  const { credentials, registry, channel } = settings
  const credential = mayHoldLogin(channel, realm) ? await credentials.find(registry, ask.signal) : undefined
  if (credential?.kind === 'bearer') {
    return { header: `Bearer ${credential.token.reveal()}`, until: Number.POSITIVE_INFINITY, anonymous: false }
  }
  const asked = settings.monotonic()
  const answer = await askForToken(settings, ask, tokenRequest(realm, challenge, ask, credential), credential)
  const until = asked + lifetime(answer)
  return { header: `Bearer ${tokenOf(settings, answer)}`, until, anonymous: credential === undefined }
}

function realmOf({ channel }: AuthSettings, challenge: Challenge): URL {
  const text = challenge.parameters.get('realm') ?? ''
  const { base } = channel
  const why = URL.canParse(text) ? whyRefused(channel, base, new URL(text)) : 'it is no address'
  if (why === undefined) return new URL(text)
  const realm = URL.canParse(text) ? new URL(text).origin : printable(text, 80)
  throw new RegistryError('REALM_REFUSED', { host: base.host, realm, why })
}

/** With a refresh token OAuth2's POST, else the older GET, with or without a login. */
function tokenRequest(realm: URL, challenge: Challenge, ask: Ask, credential: Credential | undefined): Request {
  const scopes = scopesOf(challenge, ask.repository)
  const service = challenge.parameters.get('service')
  const what = `a token for ${ask.what}`
  if (credential?.kind === 'identity') {
    const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'tagseal', scope: scopes.join(' ') })
    if (service !== undefined) form.set('service', service)
    form.set('refresh_token', credential.token.reveal())
    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    return { method: 'POST', url: realm, headers: type, body: form.toString(), what }
  }
  const url = new URL(realm)
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  const login: Record<string, string> = credential?.kind === 'basic' ? { authorization: basic(credential) } : {}
  return { method: 'GET', url, headers: login, what }
}

/**
 * What the registry says it takes, cut down to reading: it may call the repository by another name, but a token that
 * could push is nothing to hand to a server that we do not trust.
 */
function scopesOf(challenge: Challenge, repository: string): readonly string[] {
  const named = (challenge.parameters.get('scope') ?? '').split(' ')
  const pulls = named.flatMap((scope) => {
    const [, what, actions] = /^(repository(?:\([a-z]+\))?:[^ ,"]{1,300}):([a-z*,]+)$/.exec(scope) ?? []
    return what !== undefined && /(?:^|,)(?:pull|\*)(?:,|$)/.test(actions ?? '') ? [`${what}:pull`] : []
  })
  return pulls.length === 0 ? [`repository:${repository}:pull`] : pulls.slice(0, 4)
}

async function askForToken(
  settings: AuthSettings,
  ask: Ask,
  request: Request,
  credential: Credential | undefined,
): Promise<JsonObject> {
  const { http, channel, limits } = settings
  const deadline = deadlineIn(limits.requestMs, ask.signal)
  const response = await follow(http, channel, request, limits.redirects, deadline)
  const { status } = response
  const bytes = await http.read(response, limits.token, request.what, deadline)
  // 400 is OAuth2's way of saying that a refresh token is no good (RFC 6749, 5.2)
  if (status === 401 || status === 403 || (status === 400 && credential?.kind === 'identity')) {
    throw unauthorized(settings, ask, credential !== undefined)
  }
  if (status !== 200) refuseStatus(response, bytes, request.what)
  return readToken(response, bytes, request.what)
}

/** A token service's answer is a secret; what is wrong with it is said without quoting it. */
function readToken({ url }: Response, bytes: Uint8Array, what: string): JsonObject {
  try {
    const answer = parseStrictJson(bytes)
    if (isJsonObject(answer)) return answer
  } catch {
    // said below, for both ways of being no JSON object
  }
  throw new RegistryError('BAD_RESPONSE', { host: url.host, what, why: 'it is no JSON object' })
}

function tokenOf({ channel }: AuthSettings, answer: JsonObject): string {
  const [token] = ['token', 'access_token'].map((name) => member(answer, name)).filter((value) => value)
  // What is no single word would end the header and start another one.
  if (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) return token
  throw new RegistryError('BAD_RESPONSE', { host: channel.base.host, what: 'a token', why: 'it holds no token' })
}

/** The distribution specification's default is 60 s; some of what is left is kept for the request to arrive. */
function lifetime(answer: JsonObject): number {
  const given = member(answer, 'expires_in')
  const seconds = typeof given === 'number' && given > 0 ? Math.min(given, 24 * 3600) : 60
  return Math.max(seconds * 900, (seconds - 10) * 1000)
}

function basic(credential: Extract<Credential, { kind: 'basic' }>): string {
  return `Basic ${Buffer.from(`${credential.username}:${credential.password.reveal()}`).toString('base64')}`
}

function unauthorized({ channel }: AuthSettings, { what }: Ask, sent: boolean): RegistryError {
  return new RegistryError('UNAUTHORIZED', { host: channel.base.host, what, sent })
}
