import type { FastifyRequest } from 'fastify'
import { isLoopback } from '../config.ts'
import type { Settings } from '../config.ts'
import type { Problem } from '../problem.ts'

/**
 * `WWW-Authenticate` of a refusal, as docker and notary read it: where tokens are had, for which service, and the scope
 * that this request wants.
 */
export function challengeOf(settings: Settings, request: FastifyRequest, { detail }: Problem): string {
  if (request.routeOptions.url === '/token') return 'Basic realm="tagseal"'
  const scope = scopeOf(request)
  const fault = 'fault' in detail && typeof detail.fault === 'string' ? detail.fault : undefined
  const parts = [
    `realm="${realmOf(settings, request)}"`,
    `service="${settings.tokenService}"`,
    ...(scope === undefined ? [] : [`scope="${scope}"`]),
    ...(fault === undefined ? [] : [`error="${fault}"`]),
  ]
  return `Bearer ${parts.join(',')}`
}

const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

/**
 * The setting; without it this server under the name that the caller used. Whoever sends a false `Host` misleads
 * nobody but themselves, for the answer is not kept. Nobody is sent to plain http beyond this machine, where they would
 * show their secret: behind a name there is TLS, ours or that of a proxy. `X-Forwarded-…` is not believed.
 */
function realmOf({ tokenRealm, tlsCert, listen }: Settings, { headers }: FastifyRequest): string {
  if (tokenRealm !== undefined) return tokenRealm
  const host = headers.host !== undefined && HOST.test(headers.host) ? headers.host : listen
  const plain = tlsCert === undefined && isLoopback(host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
  return `${plain ? 'http' : 'https'}://${host}/token`
}

const CATALOGUE: ReadonlySet<string> = new Set(['/v2/', '/v2/_trust/changefeed', '/v1/repositories'])

/** What notary-server asks for at the same address. Nothing where no such token helps. */
function scopeOf({ method, params, routeOptions: { url = '' } }: FastifyRequest): string | undefined {
  if (CATALOGUE.has(url)) return 'registry:catalog:*'
  const repository = repositoryOf(params)
  return repository === undefined ? undefined : `repository:${repository}:${actionsOf(method, url)}`
}

/** Nothing that could end the quotes around it. */
function repositoryOf(params: unknown): string | undefined {
  if (typeof params !== 'object' || params === null || !('repository' in params)) return undefined
  const { repository } = params
  return typeof repository === 'string' && /^[A-Za-z0-9._:/[\]-]+$/.test(repository) ? repository : undefined
}

function actionsOf(method: string, url: string): string {
  const key = url.endsWith('.key')
  if (method === 'GET' || method === 'HEAD') return key ? 'push,pull' : 'pull'
  return key || method === 'DELETE' ? '*' : 'push,pull'
}
