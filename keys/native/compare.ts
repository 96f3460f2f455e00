import { timingSafeEqual } from 'node:crypto'
import { hash } from './hash.ts'

/** Whether two texts are the same, in a time that tells nothing about either; their lengths are no secret. */
export function sameSecret(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/**
 * How a bearer token is stored and looked up: its sha256, lower-case hex. A token has 256 random bits, so a slow
 * hash would protect nothing. To look a token up by this hash is safe: who times the lookup learns of the hash.
 */
export function hashToken(token: string): string {
  return hash('sha256', Buffer.from(token))
}
