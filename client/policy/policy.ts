/** A policy file, read and ready: which rule speaks of a repository. */
import { readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { MAX_AUTHORITIES } from '../../keys/native/authorities.ts'
import { reasonOf } from '../files.ts'
import { bySpecificity } from '../trust/pattern.ts'
import { pinFor } from '../trust/pins.ts'
import type { Pin, PinRule } from '../trust/pins.ts'
import { keptCa, serverCaIn, serverFor } from '../trust/server-ca.ts'
import type { ServerCa } from '../trust/server-ca.ts'
import { VerdictError } from '../verdict/errors.ts'
import type { Rule } from '../verdict/rule.ts'
import { PolicyError } from './errors.ts'
import { readDocument } from './reader.ts'
import type { Place } from './reader.ts'
import { readPolicy } from './rules.ts'
import type { Upstream, WrittenPin, WrittenRule, WrittenSigned } from './rules.ts'

/** What a rule says beside whom to trust: for those who fetch. */
export type PolicyRule = Rule & {
  readonly upstream: Upstream
  /** Tags that nobody signed are shown in lists as well. */
  readonly allTags: boolean
}

export type FilePolicy = {
  readonly path: string
  readonly rules: number
  /** Where rules stand that pin keys and say no server. */
  readonly withoutServer: readonly string[]
  /** As they stand in the file. */
  readonly written: readonly WrittenRule[]
  readonly ruleFor: (repository: string) => PolicyRule
  /** Every rule that matches, the one that decides first. */
  readonly matching: (repository: string) => readonly { readonly pattern: string; readonly where: string }[]
  /** The only registries that may be asked for anything. */
  readonly registries: ReadonlySet<string>
  readonly defaultRegistry: string | undefined
  /** The files that were read for it. */
  readonly files: readonly string[]
  /** Kinds of Kubernetes objects with pods in them, beside its own: `rollouts.argoproj.io`. */
  readonly workloads: readonly string[]
  /** The Kubernetes namespaces that rules speak of. */
  readonly namespaces: ReadonlySet<string>
  /** What counts in one of them: its own rules beside those for everywhere, and before them for one pattern. */
  readonly inNamespace: (namespace: string) => FilePolicy
}

const MAX_POLICY = 1024 * 1024
const MAX_ROOT = 512 * 1024
/** Names that were looked up; whoever asks for more starts over. */
const MOST_KNOWN = 8192

/** `pins` are this machine's, for the rules that name none. Throws POLICY_MALFORMED and POLICY_UNUSABLE. */
export function loadPolicy(path: string, pins: readonly PinRule[]): FilePolicy {
  const text = textOf(path, readCapped(path, MAX_POLICY))
  const written = readPolicy(readDocument(text, basename(path)))
  const files = [path]
  const folder = dirname(resolve(path))
  const own = new Map<WrittenRule, Own>()
  for (const rule of written.rules) {
    if (rule.kind !== 'signed') continue
    own.set(rule, { pin: readPin(rule.pin, folder, files), serverCa: readCa(rule, folder, files) })
  }
  const common = {
    path,
    rules: written.rules.length,
    withoutServer: written.rules.filter(lacksServer).map(({ where }) => where),
    written: written.rules,
    files,
    registries: new Set([...written.registries, ...written.rules.flatMap(hostOf)]),
    defaultRegistry: written.defaultRegistry,
    workloads: written.workloads,
    namespaces: new Set(written.rules.flatMap(({ namespaces }) => [...(namespaces ?? [])])),
  }

  function within(namespace: string | undefined): FilePolicy {
    const known = new Map<string, PolicyRule>()
    const rules = written.rules.filter((rule) => speaksOf(rule, namespace))
    const matching = (repository: string) =>
      rules
        .filter(({ pattern }) => pattern.matches(repository))
        .toSorted((a, b) => bySpecificity(a.pattern, b.pattern) || ownFirst(a, b))

    function find(repository: string): PolicyRule {
      const [best] = matching(repository)
      if (best === undefined) throw new VerdictError('NO_RULE', { repository, policy: path })
      return ready(best, own.get(best) ?? NOTHING, pins, repository, folder)
    }

    return {
      ...common,
      matching: (repository) => matching(repository).map(({ pattern, where }) => ({ pattern: pattern.text, where })),
      ruleFor(repository) {
        const found = known.get(repository) ?? find(repository)
        if (known.size >= MOST_KNOWN) known.clear()
        known.set(repository, found)
        return found
      },
      inNamespace: within,
    }
  }

  return within(undefined)
}

/** What files beside the policy say for a rule. */
type Own = { readonly pin: Pin | undefined; readonly serverCa: ServerCa | undefined }
const NOTHING: Own = { pin: undefined, serverCa: undefined }

function lacksServer(rule: WrittenRule): boolean {
  return rule.kind === 'signed' && rule.pin !== undefined && rule.server === undefined
}

/** A rule for some namespaces says nothing to whoever is in none. */
function speaksOf({ namespaces }: WrittenRule, namespace: string | undefined): boolean {
  return namespaces === undefined || (namespace !== undefined && namespaces.has(namespace))
}

function ownFirst(a: WrittenRule, b: WrittenRule): number {
  return Number(a.namespaces === undefined) - Number(b.namespaces === undefined)
}

/** A host with a wildcard is none that anybody agreed to ask: it is listed under `registries`, or not asked. */
function hostOf({ pattern }: WrittenRule): readonly string[] {
  const [host = ''] = pattern.text.split('/')
  return host.includes('*') ? [] : [host]
}

function ready(
  written: WrittenRule,
  own: Own,
  pins: readonly PinRule[],
  repository: string,
  folder: string,
): PolicyRule {
  const upstream = inFolder(written.upstream, folder)
  const common = { pattern: written.pattern.text, where: written.where, upstream, allTags: written.allTags }
  if (written.kind !== 'signed') return { ...common, kind: written.kind }
  const { server, roles, require, threshold, maxAge, signedOnce } = written
  const tokenFile = written.tokenFile === undefined ? undefined : resolve(folder, written.tokenFile)
  const rest = { ...common, kind: 'signed', tokenFile, roles, require, threshold, maxAge, signedOnce } as const
  const { pin, serverCa } = own
  if (pin !== undefined) return { ...rest, pin, sharedPin: !written.pattern.literal, server, serverCa }
  const kept = pinFor(pins, repository)
  const place = serverFor({ server, ca: undefined }, { server: kept.server, serverCa: keptCa(kept) })
  return {
    ...rest,
    pin: kept.pin,
    sharedPin: !kept.pattern.literal,
    server: place?.server,
    serverCa: serverCa ?? place?.serverCa,
  }
}

/** Files are named from where the policy stands. */
function inFolder({ ca, login, ...rest }: Upstream, folder: string): Upstream {
  return {
    ...rest,
    ca: ca === undefined ? undefined : resolve(folder, ca),
    login: login.kind === 'basic' ? { ...login, passwordFile: resolve(folder, login.passwordFile) } : login,
  }
}

function readPin(pin: WrittenPin | undefined, folder: string, files: string[]): Pin | undefined {
  if (pin?.kind !== 'root-file') return pin
  return { kind: 'root', bytes: readNamed(pin.place, folder, files, MAX_ROOT) }
}

function readCa({ ca, pattern }: WrittenSigned, folder: string, files: string[]): ServerCa | undefined {
  if (ca === undefined) return undefined
  const text = Buffer.from(readNamed(ca, folder, files, MAX_AUTHORITIES)).toString('latin1')
  const pem = serverCaIn(text, (why) => ca.refuse(`${resolve(folder, ca.text())} cannot be used: ${why}`))
  return { pem, from: `the rule of ${pattern.text}`, yields: false }
}

/** A file that the policy names: what is wrong with it is told where it is named. */
function readNamed(place: Place, folder: string, files: string[], most: number): Uint8Array {
  const path = resolve(folder, place.text())
  try {
    const bytes = readCapped(path, most)
    files.push(path)
    return bytes
  } catch (error) {
    if (error instanceof PolicyError) return place.refuse(error.message)
    throw error
  }
}

function readCapped(path: string, most: number): Uint8Array {
  try {
    const bytes = readFileSync(path)
    if (bytes.length <= most) return bytes
  } catch (cause) {
    throw new PolicyError('POLICY_UNUSABLE', { path, why: reasonOf(cause) }, { cause })
  }
  throw new PolicyError('POLICY_UNUSABLE', { path, why: `it is larger than ${most} bytes` })
}

function textOf(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new PolicyError('POLICY_UNUSABLE', { path, why: 'it is no UTF-8' }, { cause })
  }
}
