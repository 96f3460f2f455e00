import { hashToken, sameSecret } from '../../keys/digest.ts'
import { Problem } from '../problem.ts'
import type { Action, Store, TokenRecord } from '../storage/store.ts'
import { covers } from './pattern.ts'
import { isToken } from './tokens.ts'

/** Who asks. `name` is the token's. */
export type Caller = {
  readonly name?: string
  /** Without a repository: the server as a whole, which takes a token for all of them. */
  readonly allows: (action: Action, repository?: string) => boolean
  /** On at least some repositories there might be. */
  readonly allowsSomewhere: (action: Action) => boolean
}

export type Authenticator = {
  /** The caller behind an Authorization header; none at all is an anonymous caller. Throws UNAUTHORIZED. */
  readonly authenticate: (header: string | undefined) => Promise<Caller>
  /** Writes down when tokens were last used. */
  readonly flush: () => Promise<void>
}

export type AuthOptions = {
  readonly store: Store
  readonly clock: () => number
  /** No tokens are asked for, and everybody may do everything. */
  readonly open: boolean
}

const ANYBODY: Caller = { allows: () => true, allowsSomewhere: () => true }
const ANONYMOUS: Caller = { allows: () => false, allowsSomewhere: () => false }

/** What a token allows beyond its own word: who may replace what everybody reads may read it. */
const IMPLIED: { readonly [A in Action]: readonly Action[] } = {
  pull: ['pull', 'push', 'admin'],
  push: ['push', 'admin'],
  admin: ['admin'],
}

export function makeAuthenticator({ store, clock, open }: AuthOptions): Authenticator {
  // Kept back and written together: a row written for each request would make reading as dear as publishing.
  const uses = new Map<string, number>()
  return {
    async authenticate(header) {
      if (open) return ANYBODY
      if (header === undefined) return ANONYMOUS
      const record = await recordOf(store, bearerOf(header))
      refuseDead(record, clock())
      uses.set(record.id, clock())
      return callerOf(record)
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

function refuse(caller: Caller, action: Action, repository?: string): never {
  if (caller === ANONYMOUS) throw new Problem('UNAUTHORIZED', { reason: `${action} is not open to everybody` })
  throw new Problem('DENIED', { action, ...(repository === undefined ? {} : { repository }) })
}

function bearerOf(header: string): string {
  const token = /^Bearer +([^ ]+) *$/i.exec(header)?.[1]
  if (token === undefined || !isToken(token)) throw new Problem('UNAUTHORIZED', { reason: 'it must be a Bearer token' })
  return token
}

async function recordOf(store: Store, token: string): Promise<TokenRecord> {
  const hash = hashToken(token)
  const record = await store.tokens.byHash(hash)
  if (record === undefined || !sameSecret(record.hash, hash)) {
    throw new Problem('UNAUTHORIZED', { reason: 'this one is not known' })
  }
  return record
}

function refuseDead({ revokedAt, expiresAt }: TokenRecord, now: number): void {
  if (revokedAt !== undefined) throw new Problem('UNAUTHORIZED', { reason: 'this one was revoked' })
  if (expiresAt !== undefined && now >= expiresAt) throw new Problem('UNAUTHORIZED', { reason: 'this one has expired' })
}

function callerOf({ name, repository: pattern, actions }: TokenRecord): Caller {
  const allowsSomewhere = (action: Action) => IMPLIED[action].some((granted) => actions.includes(granted))
  return {
    name,
    allowsSomewhere,
    allows: (action, repository) =>
      allowsSomewhere(action) && (repository === undefined ? pattern === '**' : covers(pattern, repository)),
  }
}
