import { errors, jwtVerify } from 'jose'
import type { CryptoKey, FlattenedJWSInput, JWTHeaderParameters, JWTPayload, JWTVerifyOptions } from 'jose'
import { Problem } from '../problem.ts'
import type { Access } from './access.ts'

/** What a signed access token (JWT) says, after everything about it was checked. */
export type AccessToken = {
  /** `sub`: who asked for it; empty for anybody. */
  readonly subject: string
  /** `jti`, where there is one. */
  readonly id?: string
  readonly access: readonly Access[]
}
/** Throws UNAUTHORIZED, or UNAVAILABLE where the issuer's keys cannot be had. */
export type CheckAccessToken = (jwt: string) => Promise<AccessToken>

export type TokenRules = {
  readonly issuer: string
  readonly audience: string
  readonly algorithms: readonly string[]
  readonly clock: () => number
  readonly keyOf: KeyOf
}
/** The key for a header, out of those that are trusted. Throws where there is none. */
export type KeyOf = (header: JWTHeaderParameters, token: FlattenedJWSInput) => Promise<CryptoKey>

/** A token with a chain of certificates in its header has a few kilobytes. */
const MAX_LENGTH = 12 * 1024
const MAX_ENTRIES = 256
/** Between two clocks that are both kept right. */
const LEEWAY_SECONDS = 30

/** Whether a text could be one at all. */
export function isAccessToken(text: string): boolean {
  return text.length <= MAX_LENGTH && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)
}

/** Only algorithms that are named are looked at, so that `none` and a public key taken for a shared secret are not. */
export async function checkAccessToken(jwt: string, rules: TokenRules): Promise<AccessToken> {
  const options: JWTVerifyOptions = {
    issuer: rules.issuer,
    audience: rules.audience,
    algorithms: [...rules.algorithms],
    clockTolerance: LEEWAY_SECONDS,
    currentDate: new Date(rules.clock()),
    requiredClaims: ['exp'],
  }
  const { payload } = await refusing(jwtVerify(jwt, rules.keyOf, options))
  const { sub = '', jti } = payload
  return { subject: sub, access: accessOf(payload), ...(jti === undefined ? {} : { id: jti }) }
}

async function refusing<T>(check: Promise<T>): Promise<T> {
  try {
    return await check
  } catch (cause) {
    if (!(cause instanceof errors.JOSEError)) throw cause
    const expired = cause instanceof errors.JWTExpired
    throw invalid(expired ? 'this one has expired' : 'this one is not signed, or not made, for this server', cause)
  }
}

/** Members beyond these three are somebody else's business; anything else than a list of entries is refused. */
function accessOf({ access }: JWTPayload): readonly Access[] {
  if (access === undefined || access === null) return []
  if (!Array.isArray(access) || access.length > MAX_ENTRIES) throw invalid('its access is no list, or too long')
  return access.map(entryOf)
}

function entryOf(entry: unknown): Access {
  if (typeof entry === 'object' && entry !== null && 'type' in entry && 'name' in entry && 'actions' in entry) {
    const { type, name, actions } = entry
    if (typeof type === 'string' && typeof name === 'string' && isTexts(actions)) return { type, name, actions }
  }
  throw invalid('its access is not understood')
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

export function invalid(reason: string, cause?: unknown): Problem {
  return new Problem('UNAUTHORIZED', { reason, fault: 'invalid_token' }, cause === undefined ? {} : { cause })
}
