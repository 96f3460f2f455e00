import type { FastifyRequest } from 'fastify'
import type { Authenticator, Caller } from '../auth/authenticate.ts'

/** Names of callers by request, for the log line. */
const NAMES = new WeakMap<object, string>()

/** Who asks. Throws UNAUTHORIZED for a token that is not known, has expired or was revoked. */
export async function callerOf(auth: Authenticator, request: FastifyRequest): Promise<Caller> {
  const caller = await auth.authenticate(request.headers.authorization)
  if (caller.name !== undefined) noteCaller(request, caller.name)
  return caller
}

export function noteCaller(request: object, name: string): void {
  NAMES.set(request, name)
}

export function nameOfCaller(request: object): string | undefined {
  return NAMES.get(request)
}
