import { Problem } from '../problem.ts'

const MAX_HEADER = 1024

/**
 * The password of a Basic header (RFC 7617); undefined without a header. The user name is not looked at: a token's
 * secret alone says who it is, and docker's user names are for people and signer roles.
 */
export function passwordOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const text = header.length > MAX_HEADER ? undefined : /^Basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header)?.[1]
  const pair = text === undefined ? '' : Buffer.from(text, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  if (colon < 0) throw new Problem('UNAUTHORIZED', { reason: 'it must be Basic credentials: a name and a token' })
  return pair.slice(colon + 1)
}
