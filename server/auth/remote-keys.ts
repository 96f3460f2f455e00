import { createRemoteJWKSet, customFetch, errors } from 'jose'
import type { FetchImplementation } from 'jose'
import { Problem } from '../problem.ts'
import type { KeyOf } from './access-token.ts'

const MAX_BYTES = 256 * 1024
const TIMEOUT_MS = 5_000
/** A key that its issuer withdrew counts for no longer than that. */
const MAX_AGE_MS = 10 * 60_000
/** However many unknown keys tokens name, their issuer is not asked more often. */
const COOLDOWN_MS = 30_000

/**
 * The keys of an issuer from its JWKS address. That they cannot be had says nothing about a token: whoever brought it
 * is told to come again.
 */
export function remoteKeys(address: string): KeyOf {
  const keys = createRemoteJWKSet(new URL(address), {
    timeoutDuration: TIMEOUT_MS,
    cacheMaxAge: MAX_AGE_MS,
    cooldownDuration: COOLDOWN_MS,
    [customFetch]: fetchCapped,
  })
  return async (header, token) => {
    try {
      return await keys(header, token)
    } catch (cause) {
      if (cause instanceof errors.JWKSNoMatchingKey || cause instanceof errors.JWKSMultipleMatchingKeys) throw cause
      throw new Problem('UNAVAILABLE', { reason: 'the keys of the token issuer cannot be had' }, { cause })
    }
  }
}

/** No redirects: the address that was configured is the one that is trusted. */
const fetchCapped: FetchImplementation = async (url, options) => {
  const answer = await fetch(url, { ...options, redirect: 'error' })
  const parts: Uint8Array[] = []
  let size = 0
  const body: AsyncIterable<Uint8Array> | undefined = answer.body ?? undefined
  for await (const part of body ?? []) {
    size += part.length
    if (size > MAX_BYTES) throw new RangeError(`the keys at ${url} are larger than ${MAX_BYTES} bytes`)
    parts.push(part)
  }
  return new Response(Buffer.concat(parts), { status: answer.status, headers: answer.headers })
}
