import { hashToken } from '../../keys/digest.ts'
import { randomName, randomToken } from '../../keys/random.ts'
import { Problem } from '../problem.ts'
import type { Action, Store, TokenRecord } from '../storage/store.ts'
import { isPattern } from './pattern.ts'

export const TOKEN_PREFIX = 'tst_'
/** What `{"` becomes in base64. */
const JWT_PREFIX = 'eyJ'
const TOKEN = /^tst_[A-Za-z0-9_-]{43}$/

export type NewToken = {
  readonly name: string
  readonly repository: string
  readonly actions: readonly Action[]
  readonly expiresAt?: number
}
/** Who did it, for the audit. `actor` is a token's name, or what else the act came from. */
export type Act = { readonly at: number; readonly actor?: string; readonly request?: string }
export type IssuedToken = { readonly token: string; readonly record: TokenRecord }

/** Makes a token and keeps its hash. The token itself is in the answer and nowhere else, ever. */
export async function createToken(store: Store, wanted: NewToken, act: Act): Promise<IssuedToken> {
  refuseToken(wanted, act.at)
  const token = randomToken(TOKEN_PREFIX)
  const record = { ...wanted, id: randomName().slice(0, 12), hash: hashToken(token), createdAt: act.at }
  const { name, repository, actions } = wanted
  const detail = { id: record.id, repository, actions }
  const kept = await store.tokens.add(record, { ...act, action: 'token.create', subject: name, detail })
  if (!kept) throw new Problem('NAME_TAKEN', { name })
  return { token, record }
}

/** By id, or by the name of a live token. From its return on, no request is let in by it. */
export async function revokeToken(store: Store, idOrName: string, act: Act): Promise<TokenRecord> {
  const record = await store.tokens.revoke(idOrName, act.at, { ...act, action: 'token.revoke', subject: idOrName })
  if (record === undefined) throw new Problem('NOT_FOUND', { what: `token ${idOrName.slice(0, 64)}` })
  return record
}

/** Whether a text could be a token at all. */
export function isToken(text: string): boolean {
  return TOKEN.test(text)
}

/** A text that others may read: where a token or an access token stood, its beginning is left. */
export function withoutTokens(text: string): string {
  if (!text.includes(TOKEN_PREFIX) && !text.includes(JWT_PREFIX)) return text
  return text
    .replace(/tst_[A-Za-z0-9_-]+/g, `${TOKEN_PREFIX}…`)
    .replace(/eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+/g, `${JWT_PREFIX}…`)
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@/-]{0,127}$/

function refuseToken({ name, repository, actions, expiresAt }: NewToken, now: number): void {
  if (!NAME.test(name)) throw invalid('the name must be letters, digits and . _ @ / -, at most 128')
  if (!isPattern(repository)) throw invalid('the repository must be a pattern such as registry.example.com/team/*')
  if (actions.length === 0) throw invalid('it must allow pull, push or admin')
  if (expiresAt !== undefined && expiresAt <= now) throw invalid('it would have expired already')
}

function invalid(reason: string): Problem {
  return new Problem('INVALID_REQUEST', { reason })
}
