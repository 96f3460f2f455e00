/**
 * Repository and role names have slashes, and a router's parameter matches none: they become `%2F` before the router
 * looks. `/v2/a/b/_trust/tuf/targets/x.json` becomes `/v2/a%2Fb/_trust/tuf/targets%2Fx.json`.
 */
export function rewriteUrl(target: string): string {
  const url = withoutOrigin(target)
  if (url.startsWith('/v2/')) return rewriteTrust(url)
  if (url.startsWith('/v1/repositories/')) return rewriteRepository(url)
  return url
}

/** A proxy may name us in the request line (RFC 9112 3.2.2). */
function withoutOrigin(url: string): string {
  if (url.startsWith('/')) return url
  const rest = url.replace(/^https?:\/\/[^/?#]*/i, '')
  return rest === '' || rest.startsWith('?') ? `/${rest}` : rest
}

const TRUST = '/_trust/tuf/'
const FEED = '/_trust/changefeed'

function rewriteTrust(url: string): string {
  const { path, query } = split(url)
  const at = path.indexOf(TRUST)
  if (at < 0 && path.endsWith(FEED) && path.length > 3 + FEED.length) {
    return `/v2/${folded(path.slice(4, -FEED.length))}${FEED}${query}`
  }
  if (at < 0) return url
  return `/v2/${folded(path.slice(4, at))}${TRUST}${folded(path.slice(at + TRUST.length))}${query}`
}

/** Reads the same however it is read: no escape, no query, no origin. */
const PLAIN = /^\/v2\/[\w.:/-]+\.json$/

/** The repository and the file that an address of trust metadata is about; undefined for one that is not plain. */
export function plainFile(url: string): { readonly repository: string; readonly file: string } | undefined {
  const at = url.indexOf(TRUST)
  if (at < 5 || !PLAIN.test(url)) return undefined // before that there is no name
  return { repository: url.slice(4, at), file: url.slice(at + TRUST.length) }
}

const BASE = '/v1/repositories/'
/** No part of a name begins with `_`, so that those with one are nobody's repository. */
const SUFFIX = /\/(?:history|_import|_changes|_sightings|proposals(?:\/[0-9a-f]{32}(?:\/signatures)?)?)$/

function rewriteRepository(url: string): string {
  const { path, query } = split(url)
  const [suffix = ''] = SUFFIX.exec(path) ?? []
  return `${BASE}${folded(path.slice(BASE.length, path.length - suffix.length))}${suffix}${query}`
}

function split(url: string): { readonly path: string; readonly query: string } {
  const at = url.indexOf('?')
  return at < 0 ? { path: url, query: '' } : { path: url.slice(0, at), query: url.slice(at) }
}

function folded(path: string): string {
  return path.includes('/') ? path.replaceAll('/', '%2F') : path
}
