import { isDigest } from './digest.ts'
import { RegistryError, REPOSITORY_MEANT } from './errors.ts'

/**
 * An image reference in docker's normal form: `alpine` is `docker.io/library/alpine:latest`.
 *
 * One image has one spelling here. What docker takes in several (upper case hosts, `[0:0::1]`, port `080`) is refused,
 * because `name` is what pins are matched against and what the trust metadata is filed under.
 */
export type ImageReference = {
  /** `docker.io`, or a host with its port if one was written. */
  readonly registry: string
  /** The path within the registry: `library/alpine`. */
  readonly repository: string
  readonly tag?: string
  readonly digest?: string
  /** `registry/repository`: the name of the TUF repository. */
  readonly name: string
}

export type RepositoryName = Pick<ImageReference, 'registry' | 'repository' | 'name'>

const NAME_LENGTH = 255
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const HOST = /^(?:\[[0-9a-f:]+\]|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)(?::[0-9]+)?$/

/** Reads what a user types as IMAGE. With neither tag nor digest the tag is `latest`, as docker has it. */
export function parseImage(text: string): ImageReference {
  const { rest, digest } = cutDigest(text)
  const { rest: name, tag } = cutTag(rest)
  const repository = normalName(text, name)
  if (digest !== undefined) refuseBadDigest(text, digest)
  if (tag !== undefined) refuseBadTag(text, tag)
  if (tag === undefined && digest === undefined) return { ...repository, tag: 'latest' }
  return { ...repository, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) }
}

/** Reads what a user types as REPO: a name without tag and digest. */
export function parseRepo(text: string): RepositoryName {
  const { rest, digest } = cutDigest(text)
  const { rest: name, tag } = cutTag(rest)
  const repository = normalName(text, name)
  if (digest !== undefined) throw invalid(text, `${REPOSITORY_MEANT}, without a digest`)
  if (tag !== undefined) throw invalid(text, `${REPOSITORY_MEANT}, without a tag`)
  return repository
}

/** The full text: what {@link parseImage} reads back to the same reference. */
export function printImage(reference: ImageReference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${reference.name}${tag}${digest}`
}

/** `name@digest`: the only form that is handed to an engine. */
export function pinned(reference: Pick<ImageReference, 'name'>, digest: string): string {
  return `${reference.name}@${digest}`
}

export function isTag(text: string): boolean {
  return TAG.test(text)
}

/** Docker Hub's name and the host that answers for it are two things. */
export function apiHost(registry: string): string {
  return registry === 'docker.io' ? 'registry-1.docker.io' : registry
}

function cutDigest(text: string): { rest: string; digest?: string } {
  const at = text.indexOf('@')
  return at === -1 ? { rest: text } : { rest: text.slice(0, at), digest: text.slice(at + 1) }
}

/** A colon before the last slash belongs to a port. */
function cutTag(text: string): { rest: string; tag?: string } {
  const colon = text.indexOf(':', text.lastIndexOf('/') + 1)
  return colon === -1 ? { rest: text } : { rest: text.slice(0, colon), tag: text.slice(colon + 1) }
}

function normalName(text: string, name: string): RepositoryName {
  if (name === '') throw invalid(text, 'the name is missing')
  if (/\s/.test(name)) throw invalid(text, 'there is white space in the name')
  if (/^[a-f0-9]{64}$/.test(name)) throw invalid(text, '64 hexadecimal digits are an image id, not a name')
  const { registry, repository } = splitRegistry(name)
  refuseBadHost(text, registry)
  refuseBadPath(text, repository)
  const full = `${registry}/${repository}`
  if (full.length > NAME_LENGTH) throw invalid(text, `the name is longer than ${NAME_LENGTH} characters`)
  return { registry, repository, name: full }
}

/** docker's rule: the first component is a host if it has a dot, a colon or an upper case letter, or is `localhost`. */
function splitRegistry(name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/')
  if (slash === -1) return { registry: 'docker.io', repository: `library/${name}` }
  const first = name.slice(0, slash)
  const rest = name.slice(slash + 1)
  const isHost = first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase()
  if (!isHost) return { registry: 'docker.io', repository: name }
  const registry = first === 'index.docker.io' ? 'docker.io' : first
  if (registry === 'docker.io' && !rest.includes('/')) return { registry, repository: `library/${rest}` }
  return { registry, repository: rest }
}

function refuseBadHost(text: string, host: string): void {
  if (host !== host.toLowerCase()) throw invalid(text, `${host} has upper case letters; write it in lower case`)
  if (!HOST.test(host)) throw invalid(text, `${host} is no host name`)
  refuseOtherSpelling(text, host)
}

/**
 * `127.1`, `0x7f.0.0.1`, `[0:0:0:0:0:0:0:1]` and port `0443` are all read as something else by whoever connects.
 * The URL parser that will connect is asked what it makes of the text.
 */
function refuseOtherSpelling(text: string, host: string): void {
  const url = `http://${host}/`
  const colon = /:([0-9]+)$/.exec(host)
  const [, port] = colon ?? []
  if (port !== undefined && (!/^[1-9][0-9]{0,4}$/.test(port) || Number(port) > 65535)) {
    throw invalid(text, `${port} is no port`)
  }
  const bare = colon === null ? host : host.slice(0, colon.index)
  if (!URL.canParse(url) || new URL(url).hostname !== bare) throw invalid(text, `${bare} is no host name`)
}

function refuseBadPath(text: string, path: string): void {
  if (path !== path.toLowerCase()) throw invalid(text, `${path} has upper case letters; a repository has none`)
  for (const component of path.split('/')) {
    if (component === '') throw invalid(text, 'the name has an empty part')
    if (!PATH_COMPONENT.test(component)) throw invalid(text, `${component} is no part of a repository name`)
  }
}

function refuseBadTag(text: string, tag: string): void {
  if (tag === '') throw invalid(text, 'the tag is missing')
  if (tag.length > 128) throw invalid(text, 'the tag is longer than 128 characters')
  if (!TAG.test(tag)) throw invalid(text, 'a tag has letters, digits, and after the first of them . _ -')
}

function refuseBadDigest(text: string, digest: string): void {
  if (!isDigest(digest)) {
    throw invalid(text, 'a digest is sha256: and 64, or sha512: and 128, lower case hexadecimal digits')
  }
}

function invalid(text: string, why: string): RegistryError {
  return new RegistryError('REFERENCE_INVALID', { text, why })
}
