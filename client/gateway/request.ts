/** What a request asks for. Nothing in it is decoded twice, and what has two readings has none. */
import { isRegistryError } from '../registry/errors.ts'
import { isDigest } from '../registry/digest.ts'
import { isTag, parseRepo } from '../registry/reference.ts'
import type { RepositoryName } from '../registry/reference.ts'
import { GatewayError } from './errors.ts'

export type Asked =
  | { readonly kind: 'version' }
  | (InRepository & { readonly kind: 'manifest'; readonly tag: string; readonly digest: undefined })
  | (InRepository & { readonly kind: 'manifest'; readonly tag: undefined; readonly digest: string })
  | (InRepository & { readonly kind: 'blob'; readonly digest: string })
  | (InRepository & { readonly kind: 'referrers'; readonly digest: string; readonly artifactType: string | undefined })
  | (InRepository & { readonly kind: 'tags'; readonly most: number | undefined; readonly last: string | undefined })

type InRepository = {
  readonly repository: RepositoryName
  /** The name as it stands in the path. */
  readonly path: string
  /** The registry was named by `ns`, and the answer says so. */
  readonly namespace: string | undefined
}

/** Where names may lead: the registries that the policy names, and the one meant where none is named. */
export type Registries = {
  readonly registries: ReadonlySet<string>
  readonly defaultRegistry: string | undefined
}

const LONGEST = 1024
const DOCKER_HUB: ReadonlySet<string> = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/** `target` as it stands in the request line. Throws GatewayError. */
export function readRequest(target: string, where: Registries): Asked {
  if (target.length > LONGEST)
    throw new GatewayError('NAME_INVALID', { text: `${target.slice(0, 40)}…`, why: 'it is too long' })
  const [rawPath = '', ...rest] = target.split('?')
  const query = new URLSearchParams(rest.join('?'))
  if (rawPath === '/v2/' || rawPath === '/v2') return { kind: 'version' }
  const path = plainPath(rawPath)
  const [, name, kind, id] = /^\/v2\/(.+)\/(manifests|blobs|referrers|tags)\/([^/]+)$/.exec(path) ?? []
  if (name === undefined || kind === undefined || id === undefined) throw new GatewayError('NOT_SERVED', { path })
  const repository = resolve(name, query, where)
  switch (kind) {
    case 'manifests':
      if (isDigest(id)) return { kind: 'manifest', ...repository, tag: undefined, digest: id }
      if (isTag(id)) return { kind: 'manifest', ...repository, tag: id, digest: undefined }
      throw new GatewayError('NAME_INVALID', { text: id, why: 'it is neither a tag nor a digest that can be checked' })
    case 'blobs':
      return { kind: 'blob', ...repository, digest: digestOf(id) }
    case 'referrers':
      return { kind: 'referrers', ...repository, digest: digestOf(id), artifactType: once(query, 'artifactType') }
    default:
      if (id !== 'list') throw new GatewayError('NOT_SERVED', { path })
      return { kind: 'tags', ...repository, most: countOf(once(query, 'n')), last: once(query, 'last') }
  }
}

/** Some clients write the colon of a digest as `%3A`; nothing else that we serve needs an escape. */
function plainPath(raw: string): string {
  const path = raw.replace(/%3a/gi, ':')
  if (/^[A-Za-z0-9._:/[\]-]*$/.test(path)) return path
  throw new GatewayError('NAME_INVALID', { text: path.slice(0, 200), why: 'it has characters that no name has' })
}

/** `ns` says where; else the first part of the path, if it is a host; else the default. */
function resolve(name: string, query: URLSearchParams, { registries, defaultRegistry }: Registries): InRepository {
  const named = once(query, 'ns')
  if (named !== undefined) {
    const registry = allowed(named, registries)
    return { repository: nameIn(registry, name), path: name, namespace: named }
  }
  const [first = '', ...others] = name.split('/')
  if (others.length > 0 && (/[.:]/.test(first) || first === 'localhost')) {
    return { repository: nameIn(allowed(first, registries), others.join('/')), path: name, namespace: undefined }
  }
  if (defaultRegistry === undefined) throw new GatewayError('NO_REGISTRY', { name })
  return { repository: nameIn(allowed(defaultRegistry, registries), name), path: name, namespace: undefined }
}

/** Whoever may name any host could have us knock on the doors of our own network. */
function allowed(host: string, registries: ReadonlySet<string>): string {
  const lower = host.toLowerCase()
  const registry = DOCKER_HUB.has(lower) ? 'docker.io' : lower
  // The Kelvin sign is a k in lower case, and nothing that a header can repeat.
  if (!/^[\x21-\x7e]+$/.test(host)) throw new GatewayError('REGISTRY_NOT_ALLOWED', { registry: host })
  if (registries.has(registry)) return registry
  throw new GatewayError('REGISTRY_NOT_ALLOWED', { registry: host })
}

function nameIn(registry: string, path: string): RepositoryName {
  try {
    const repository = parseRepo(`${registry}/${path}`)
    // A path that begins like a host must not move to where that host is.
    if (repository.registry === registry) return repository
  } catch (error) {
    if (isRegistryError(error))
      throw new GatewayError('NAME_INVALID', { text: path, why: error.message }, { cause: error })
    throw error
  }
  throw new GatewayError('NAME_INVALID', { text: path, why: 'it is no repository' })
}

function digestOf(id: string): string {
  if (isDigest(id)) return id
  throw new GatewayError('NAME_INVALID', { text: id, why: 'it is no digest that can be checked' })
}

/** Two programs that look at the same request must not see two different values. */
function once(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) throw new GatewayError('NAME_INVALID', { text: name, why: 'it is given more than once' })
  return values[0]
}

function countOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[0-9]{1,6}$/.test(text)) return Number(text)
  throw new GatewayError('NAME_INVALID', { text, why: 'n is a number' })
}
