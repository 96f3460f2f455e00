/** Access tokens as docker and notary ask for them. */
import type { Access } from '../../../server/auth/access.ts'
import type { TestServer } from './app.ts'

export type Claims = { readonly access: readonly Access[]; readonly [name: string]: unknown }
export type Wanted = { readonly secret?: string; readonly service?: string; readonly scope?: readonly string[] }

export function scope(repository: string, actions: string): string {
  return `repository:${repository}:${actions}`
}

export function basic(secret: string, user = 'user'): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}` }
}

export function bearer(token: string): { readonly authorization: string } {
  return { authorization: `Bearer ${token}` }
}

export async function tokenFor(
  server: TestServer,
  { secret, service = 'tagseal-server', scope = [] }: Wanted,
): Promise<string> {
  const query = new URLSearchParams({ service })
  for (const each of scope) query.append('scope', each)
  const answer = await server.get(`/token?${query.toString()}`, secret === undefined ? {} : basic(secret))
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return answer.json<{ token: string }>().token
}

export function claimsOf(jwt: string): Claims {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8')) as Claims
}
