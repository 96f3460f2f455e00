import { hashToken, sameSecret } from '../../keys/digest.ts'
import { Problem } from '../problem.ts'
import type { Action, Store, TokenRecord } from '../storage/store.ts'
import { grants, grantsCatalogue, grantsSomewhere } from './access.ts'
import { invalid, isAccessToken } from './access-token.ts'
import type { AccessToken, CheckAccessToken } from './access-token.ts'
import { holderIdOf } from './issuer.ts'
import { covers } from './pattern.ts'
import { isToken } from './tokens.ts'

/** Who asks. `name` is the token's; of somebody whom another issuer knows, `jwt:` and the name there. */
export type Caller = {
  readonly name?: string
  /** Without a repository: the server as a whole, which takes a token for all of them. */
  readonly allows: (action: Action, repository?: string) => boolean
  /** On at least some repositories there might be. */
  readonly allowsSomewhere: (action: Action) => boolean
  /** To see the names of all repositories. */
  readonly allowsCatalogue: boolean
  /** What it lacks may be had by asking for another token: none so far, or an access token of a narrow scope. */
  readonly lacks?: 'token' | 'scope'
}

export type Authenticator = {
  /** The caller behind an Authorization header; none at all is an anonymous caller. Throws UNAUTHORIZED. */
  readonly authenticate: (header: string | undefined) => Promise<Caller>
  /** The live token with this secret. Throws UNAUTHORIZED. */
  readonly holderOf: (secret: string) => Promise<TokenRecord>
  /** Writes down when tokens were last used. */
  readonly flush: () => Promise<void>
}

export type AuthOptions = {
  readonly store: Store
  readonly clock: () => number
  /** No tokens are asked for, and everybody may do everything. */
  readonly open: boolean
  /** Reading is for token holders as well. */
  readonly private: boolean
  readonly check: CheckAccessToken
  /** Whether the access tokens are our own, so that each has a token of the store behind it, or none. */
  readonly own: boolean
}

const ANYBODY: Caller = { allows: () => true, allowsSomewhere: () => true, allowsCatalogue: true }
const ANONYMOUS: Caller = {
  allows: () => false,
  allowsSomewhere: () => false,
  allowsCatalogue: false,
  lacks: 'token',
}

/** What a token allows beyond its own word: who may replace what everybody reads may read it. */
const IMPLIED: { readonly [A in Action]: readonly Action[] } = {
  pull: ['pull', 'push', 'admin'],
  push: ['push', 'admin'],
  admin: ['admin'],
}

export function makeAuthenticator({ store, clock, open, private: hidden, check, own }: AuthOptions): Authenticator {
  // Kept back and written together: a row written for each request would make reading as dear as publishing.
  const uses = new Map<string, number>()
  const alive = (record: TokenRecord | undefined): TokenRecord => {
    const live = refuseDead(record, clock())
    uses.set(live.id, clock())
    return live
  }
  async function callerOfAccess(token: AccessToken): Promise<Caller> {
    if (!own) return withinScope(token, outsider(token))
    const id = holderIdOf(token.id ?? '')
    return withinScope(
      token,
      id === undefined ? (hidden ? ANONYMOUS : READER) : callerOf(alive(await store.tokens.byId(id))),
    )
  }
  return {
    async authenticate(header) {
      if (open) return ANYBODY
      if (header === undefined) return ANONYMOUS
      const text = bearerOf(header)
      if (isToken(text)) return callerOf(alive(await recordOf(store, text)))
      if (isAccessToken(text)) return callerOfAccess(await check(text))
      throw invalid('it must be a Bearer token of this server, or one that is made for it')
    },
    async holderOf(secret) {
      return alive(isToken(secret) ? await recordOf(store, secret) : undefined)
    },
    async flush() {
      if (uses.size === 0) return
      const batch = new Map(uses)
      uses.clear()
      await store.tokens.used(batch)
    },
  }
}

/** Throws UNAUTHORIZED where a token could help, DENIED where this one does not. */
export function requireAction(caller: Caller, action: Action, repository?: string): void {
  if (!caller.allows(action, repository)) refuse(caller, action, repository)
}

/** For lists, of which each caller is shown a part. */
export function requireSomewhere(caller: Caller, action: Action): void {
  if (!caller.allowsSomewhere(action)) refuse(caller, action)
}

/** For what is told of all repositories at once. */
export function requireCatalogue(caller: Caller): void {
  if (!caller.allowsCatalogue) refuse(caller, 'admin')
}

function refuse({ lacks }: Caller, action: Action, repository?: string): never {
  if (lacks === 'token') throw new Problem('UNAUTHORIZED', { reason: `${action} is not open to everybody` })
  if (lacks === 'scope') {
    throw new Problem('UNAUTHORIZED', { reason: `this one is not for ${action} here`, fault: 'insufficient_scope' })
  }
  throw new Problem('DENIED', { action, ...(repository === undefined ? {} : { repository }) })
}

function bearerOf(header: string): string {
  const token = /^Bearer +([^ ]+) *$/i.exec(header)?.[1]
  if (token === undefined) throw new Problem('UNAUTHORIZED', { reason: 'it must be a Bearer token' })
  return token
}

async function recordOf(store: Store, token: string): Promise<TokenRecord | undefined> {
  const hash = hashToken(token)
  const record = await store.tokens.byHash(hash)
  return record !== undefined && sameSecret(record.hash, hash) ? record : undefined
}

function refuseDead(record: TokenRecord | undefined, now: number): TokenRecord {
  if (record === undefined) throw invalid('this one is not known')
  if (record.revokedAt !== undefined) throw invalid('this one was revoked')
  if (record.expiresAt !== undefined && now >= record.expiresAt) throw invalid('this one has expired')
  return record
}

/** What a token of the store allows. */
export function callerOf({ name, repository: pattern, actions }: TokenRecord): Caller {
  const allowsSomewhere = (action: Action) => IMPLIED[action].some((granted) => actions.includes(granted))
  return {
    name,
    allowsSomewhere,
    allowsCatalogue: pattern === '**' && actions.includes('admin'),
    allows: (action, repository) =>
      allowsSomewhere(action) && (repository === undefined ? pattern === '**' : covers(pattern, repository)),
  }
}

/** Whoever reads what is public: the most that an access token for anybody may be good for. */
const READER: Caller = {
  allows: (action) => action === 'pull',
  allowsSomewhere: (action) => action === 'pull',
  allowsCatalogue: false,
}

/** Only the issuer knows what they may; their token says it. The prefix sets them apart from tokens of the store. */
function outsider({ subject }: AccessToken): Caller {
  const name = /^[\x21-\x7e]{1,128}$/.test(subject) ? { name: `jwt:${subject}` } : {}
  return { ...name, allows: () => true, allowsSomewhere: () => true, allowsCatalogue: true }
}

/**
 * What its holder may and what it says, both: a scope widens nothing. It never stands for the server as a whole, whose
 * tokens it could otherwise make.
 */
function withinScope({ access }: AccessToken, holder: Caller): Caller {
  return {
    ...holder,
    lacks: 'scope',
    allows: (action, repository) =>
      repository !== undefined && grants(access, action, repository) && holder.allows(action, repository),
    allowsSomewhere: (action) => grantsSomewhere(access, action) && holder.allowsSomewhere(action),
    allowsCatalogue: holder.allowsCatalogue && grantsCatalogue(access),
  }
}
