/** What a policy file says, member by member. */
import { keyId } from '../../tuf/index.ts'
import { isRegistryError } from '../registry/errors.ts'
import { parseRepo } from '../registry/reference.ts'
import { baseUrl } from '../trust/fetch.ts'
import { isClientError } from '../trust/errors.ts'
import { parsePattern } from '../trust/pattern.ts'
import type { Pattern } from '../trust/pattern.ts'
import type { Pin } from '../trust/pins.ts'
import { isHttps } from '../trust/server-ca.ts'
import type { Place } from './reader.ts'

/** Where the content of the repositories of a rule is fetched. */
export type Upstream = {
  /** Instead of the registry that is in their name. */
  readonly registry: string | undefined
  readonly plainHttp: boolean
  /** PEM file of the authorities to trust. */
  readonly ca: string | undefined
  readonly login: Login
}
export type Login =
  | { readonly kind: 'docker' }
  | { readonly kind: 'none' }
  | { readonly kind: 'basic'; readonly username: string; readonly passwordFile: string }

type Common = {
  readonly pattern: Pattern
  readonly where: string
  readonly upstream: Upstream
  readonly allTags: boolean
  /** The Kubernetes namespaces that it speaks of; undefined: everywhere. */
  readonly namespaces: ReadonlySet<string> | undefined
}
export type WrittenRule = (Common & { readonly kind: 'unsigned' | 'refuse' }) | WrittenSigned
export type WrittenSigned = Common & {
  readonly kind: 'signed'
  /** undefined: what `tagseal trust add` keeps on this machine. */
  readonly pin: WrittenPin | undefined
  readonly server: string | undefined
  /** Names the file with the authorities of that server, which is read by whoever may read files. */
  readonly ca: Place | undefined
  readonly tokenFile: string | undefined
  readonly roles: ReadonlySet<string> | undefined
  readonly require: readonly string[]
  readonly threshold: number
  readonly maxAge: number
  readonly signedOnce: boolean
}
/** A root is named by its file, which is read by whoever may read files. */
export type WrittenPin = Exclude<Pin, { kind: 'root' | 'tofu' }> | { readonly kind: 'root-file'; readonly place: Place }

export type WrittenPolicy = {
  readonly rules: readonly WrittenRule[]
  /** Registries that may be asked beside those that the patterns name. */
  readonly registries: ReadonlySet<string>
  readonly defaultRegistry: string | undefined
  /** Kinds of Kubernetes objects with pods in them, beside its own: `rollouts.argoproj.io`. */
  readonly workloads: readonly string[]
}

const RULE = [
  'pattern',
  'namespaces',
  'pin',
  'server',
  'ca',
  'tokenFile',
  'roles',
  'require',
  'maxAge',
  'signedOnce',
  'unsigned',
  'refuse',
  'tags',
  'upstream',
] as const
const SIGNED_ONLY = ['pin', 'server', 'ca', 'tokenFile', 'roles', 'require', 'maxAge', 'signedOnce'] as const
const DEFAULT_MAX_AGE = 3_600_000
const LOGIN_OF_DOCKER: Login = { kind: 'docker' }

export function readPolicy(file: Place): WrittenPolicy {
  const members = file.members(['version', 'rules', 'registries', 'defaultRegistry', 'workloads'])
  const version = members.get('version') ?? file.refuse('it says no version; write "version: 1" first')
  if (version.number() !== 1) version.refuse('only 1 is known')
  const places = (members.get('rules') ?? file.refuse('it has no rules')).list()
  const read = places.map((place) => ({ place, rule: readRule(place) }))
  refuseRepeated(read)
  const rules = read.map(({ rule }) => rule)
  return {
    rules,
    registries: new Set(members.get('registries')?.list().map(readHost) ?? []),
    defaultRegistry: optional(members.get('defaultRegistry'), readHost),
    workloads: optional(members.get('workloads'), (list) => readDistinct(list, readResource)) ?? [],
  }
}

function readRule(place: Place): WrittenRule {
  const members = place.members(RULE)
  const [unsigned, refuse] = (['unsigned', 'refuse'] as const).map((name) => members.get(name)?.flag() === true)
  if (unsigned === true && refuse === true) place.refuse('it is either unsigned or refused')
  const common = {
    pattern: readPattern(members.get('pattern') ?? place.refuse('it has no pattern')),
    where: place.where,
    upstream: readUpstream(members.get('upstream')),
    allTags: optional(members.get('tags'), (tags) => oneOf(tags, ['signed', 'all'])) === 'all' || unsigned === true,
    namespaces: optional(members.get('namespaces'), (list) => new Set(readDistinct(list, readNamespace))),
  }
  if (unsigned === true || refuse === true) {
    const kind = unsigned === true ? 'unsigned' : 'refuse'
    for (const name of SIGNED_ONLY) members.get(name)?.refuse(`it means nothing in a rule that says ${kind}: true`)
    return { ...common, kind }
  }
  const server = optional(members.get('server'), readServer)
  const { roles: require = [], threshold = 1 } = optional(members.get('require'), readRequired) ?? {}
  return {
    ...common,
    kind: 'signed',
    pin: optional(members.get('pin'), readPin),
    server,
    ca: optional(members.get('ca'), (place) => readCa(place, server)),
    tokenFile: members.get('tokenFile')?.text(),
    roles: optional(members.get('roles'), (roles) => new Set(readRoles(roles))),
    require,
    threshold,
    maxAge: optional(members.get('maxAge'), readDuration) ?? DEFAULT_MAX_AGE,
    signedOnce: members.get('signedOnce')?.flag() ?? false,
  }
}

function readPattern(place: Place): Pattern {
  const text = place.text()
  const digest = text.indexOf('@')
  if (digest >= 0) place.refuse(`a pattern names repositories, not digests: leave ${text.slice(digest)} out`)
  const pattern = parsePattern(text)
  if (pattern === undefined) return place.refuse('it is no pattern: one * a segment, or /** at the end')
  const [host = ''] = pattern.text.split('/')
  if (pattern.text !== '**' && !/[.:*]/.test(host) && host !== 'localhost') {
    place.refuse(`it begins with no registry: write docker.io/${pattern.text} for Docker Hub`)
  }
  refuseUnmatched(pattern, place)
  return pattern
}

/** A rule that no name can ever match looks like one that holds. */
function refuseUnmatched({ text, literal }: Pattern, place: Place): void {
  const [host = '', ...path] = text.split('/')
  if (path.length === 0 && text !== '**') place.refuse(`it names a registry and no repository: write ${host}/**`)
  const [, tag] = /(:.*)$/.exec(path.at(-1) ?? '') ?? []
  if (tag !== undefined) place.refuse(`a pattern names repositories, not tags: leave ${tag} out`)
  if (text !== text.toLowerCase()) place.refuse(`names of repositories are in lower case: write ${text.toLowerCase()}`)
  if (host === 'index.docker.io')
    place.refuse(`Docker Hub is called docker.io: write ${['docker.io', ...path].join('/')}`)
  if (path.some((segment) => /[:[\]]/.test(segment)))
    place.refuse('no name of a repository has : [ or ] behind its registry')
  if (literal) refuseOtherName(text, place)
}

function refuseOtherName(text: string, place: Place): void {
  try {
    const { name } = parseRepo(text)
    if (name !== text) place.refuse(`that repository is called ${name}`)
  } catch (error) {
    if (!isRegistryError(error)) throw error
    place.refuse(error.message)
  }
}

function readPin(place: Place): WrittenPin {
  const members = place.members(['root', 'keys', 'threshold'])
  const [root, keys] = [members.get('root'), members.get('keys')]
  if ((root === undefined) === (keys === undefined)) place.refuse('give exactly one of root and keys')
  if (root !== undefined) {
    members.get('threshold')?.refuse('it goes with keys only')
    root.text()
    return { kind: 'root-file', place: root }
  }
  const keyids = keys?.list().map(readKeyId) ?? []
  if (new Set(keyids).size !== keyids.length) keys?.refuse('a key is named twice')
  const need = optional(members.get('threshold'), readCount) ?? 1
  if (need > keyids.length) (members.get('threshold') ?? place).refuse('it is more than there are keys')
  return { kind: 'keys', keyids, threshold: need }
}

function readKeyId(place: Place) {
  const text = place.text()
  return /^[0-9a-f]{64}$/.test(text) ? keyId(text) : place.refuse('a key id is 64 digits, 0 to 9 and a to f')
}

function readServer(place: Place): string {
  try {
    return baseUrl(place.text())
  } catch (error) {
    if (isClientError(error)) return place.refuse(error.message)
    throw error
  }
}

/** Beside no server it would be for whichever a run names. */
function readCa(place: Place, server: string | undefined): Place {
  if (server === undefined) place.refuse('it goes with the server of its rule')
  if (!isHttps(server)) place.refuse(`${server} shows no certificate`)
  place.text()
  return place
}

function readRequired(place: Place): { readonly roles: readonly string[]; readonly threshold: number } {
  const members = place.members(['roles', 'threshold'])
  return {
    roles: optional(members.get('roles'), readRoles) ?? [],
    threshold: optional(members.get('threshold'), readCount) ?? 1,
  }
}

/** An empty list of roles would be a rule that nothing can meet, or everything. */
function readRoles(place: Place): readonly string[] {
  const roles = place.list().map((role) => role.text())
  if (roles.length === 0) place.refuse('it names no role')
  return roles
}

function readUpstream(place: Place | undefined): Upstream {
  const members = place?.members(['registry', 'plainHttp', 'ca', 'login'])
  return {
    registry: optional(members?.get('registry'), readHost),
    plainHttp: members?.get('plainHttp')?.flag() ?? false,
    ca: members?.get('ca')?.text(),
    login: optional(members?.get('login'), readLogin) ?? LOGIN_OF_DOCKER,
  }
}

function readLogin(place: Place): Login {
  if (!place.isMap) return { kind: oneOf(place, ['docker', 'none']) }
  const members = place.members(['username', 'passwordFile'])
  const username = members.get('username') ?? place.refuse('it has no username')
  const password = members.get('passwordFile') ?? place.refuse('it has no passwordFile')
  return { kind: 'basic', username: username.text(), passwordFile: password.text() }
}

/** The one spelling of a registry that names have. */
function readHost(place: Place): string {
  const text = place.text()
  const isHost = /^(?:\[[0-9a-f:]+\]|[a-z0-9]+(?:[.-][a-z0-9]+)*)(?::[1-9][0-9]{0,4})?$/.test(text)
  return isHost && URL.canParse(`http://${text}/`)
    ? text
    : place.refuse('it is no host: write registry.example.com or 10.0.0.5:5000')
}

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

function readDuration(place: Place): number {
  const [, count = '', unit] = /^([1-9][0-9]{0,5})([smhd])$/.exec(place.isText ? place.text() : '') ?? []
  if (unit === 's' || unit === 'm' || unit === 'h' || unit === 'd') return Number(count) * UNITS[unit]
  return place.refuse('a duration is a number with s, m, h or d: 10m')
}

/** The name of a custom resource definition: its plural and its group. */
function readResource(place: Place): string {
  const text = place.text()
  return /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*){2,}$/.test(text) && text.length <= 253
    ? text
    : place.refuse('it is no custom resource: write rollouts.argoproj.io, as "kubectl get crd" does')
}

function readNamespace(place: Place): string {
  const text = place.text()
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text) ? text : place.refuse('it is no name of a namespace')
}

/** An empty list would be a rule for nowhere, which looks like one for everywhere. */
function readDistinct(place: Place, read: (place: Place) => string): readonly string[] {
  const found = place.list().map(read)
  if (found.length === 0) place.refuse('it names nothing')
  if (new Set(found).size !== found.length) place.refuse('it names something twice')
  return found
}

function readCount(place: Place): number {
  const value = place.number()
  return Number.isSafeInteger(value) && value >= 1 ? value : place.refuse('a whole number of at least 1 is meant')
}

function oneOf<const K extends string>(place: Place, known: readonly K[]): K {
  const text = place.text()
  return known.find((one) => one === text) ?? place.refuse(`it is one of ${known.join(', ')}`)
}

function optional<T>(place: Place | undefined, read: (place: Place) => T): T | undefined {
  return place === undefined ? undefined : read(place)
}

/** Of two rules for one pattern in one place neither could be the one that decides. */
function refuseRepeated(rules: readonly { readonly place: Place; readonly rule: WrittenRule }[]): void {
  const known = new Map<string, string>()
  for (const { place, rule } of rules) {
    const { pattern, where, namespaces } = rule
    for (const namespace of namespaces ?? ['']) {
      const key = `${namespace} ${pattern.text}`
      const before = known.get(key)
      const inside = namespace === '' ? '' : ` in ${namespace}`
      if (before !== undefined) place.refuse(`${pattern.text} has a rule${inside} at ${before} already`)
      known.set(key, where)
    }
  }
}
