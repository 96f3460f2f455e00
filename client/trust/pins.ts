import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ensureFolder } from '../../keys/folder.ts'
import { isKeyError } from '../../keys/errors.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { readPemBlocks, writePem } from '../../keys/pem.ts'
import { decodeJson, encodeText, isJsonObject, isTrustError, keyId, member, members } from '../../tuf/index.ts'
import type { Json, JsonObject, KeyId } from '../../tuf/index.ts'
import { errnoOf, errnoText, writeAtomically } from './atomic.ts'
import { ClientError } from './errors.ts'
import { baseUrl } from './fetch.ts'
import { withLock } from './lock.ts'
import { bySpecificity, parsePattern } from './pattern.ts'
import type { Pattern } from './pattern.ts'
import { isHttps, formOfServerCa } from './server-ca.ts'

/** Whose word the first root of a repository is taken on. There is no default: an absent pin refuses. */
export type Pin =
  | { readonly kind: 'root'; readonly bytes: Uint8Array }
  | { readonly kind: 'keys'; readonly keyids: readonly KeyId[]; readonly threshold: number }
  /** For Notary v1: an authority that must have issued the root's certificates. PEM in its one form. */
  | { readonly kind: 'ca'; readonly bytes: Uint8Array }
  /** Trust on first use, which somebody asked for by name: the first root that comes is the one to trust. */
  | { readonly kind: 'tofu' }

export type PinRule = {
  readonly pattern: Pattern
  readonly pin: Pin
  readonly server?: string
  /** PEM in its one form: the authorities by which that server, and no other, is to show itself (ADR 0043). */
  readonly serverCa?: string
}

/** The rules of a trust file, in its order; none where there is no such file. Throws CONFIG_MALFORMED and CONFIG_UNUSABLE. */
export async function loadPins(path: string): Promise<readonly PinRule[]> {
  const bytes = readIfThere(path)
  return bytes === undefined ? [] : decodePins(bytes, path)
}

/** The most specific rule for a repository; of equally specific ones the first. Throws NOT_PINNED. */
export function pinFor(rules: readonly PinRule[], repository: string): PinRule {
  const [best] = rules
    .filter(({ pattern }) => pattern.matches(repository))
    .toSorted((a, b) => bySpecificity(a.pattern, b.pattern))
  if (best === undefined) throw new ClientError('NOT_PINNED', { repository })
  return best
}

/** Adds a rule, or replaces the one of the same pattern. */
export async function addPin(path: string, rule: PinRule): Promise<void> {
  await change(path, (rules) => {
    const at = rules.findIndex(({ pattern }) => pattern.text === rule.pattern.text)
    return at < 0 ? [...rules, rule] : rules.with(at, rule)
  })
}

/**
 * Makes another rule of the one of that very pattern, as it stands by then: what another run wrote meanwhile, such as keys
 * in the place of stolen ones, is not undone. undefined where there is none any more.
 */
export async function editPin(
  path: string,
  pattern: string,
  edit: (rule: PinRule) => PinRule,
): Promise<PinRule | undefined> {
  let edited: PinRule | undefined
  await change(path, (rules) =>
    rules.map((rule) => (rule.pattern.text === pattern ? (edited = { ...edit(rule), pattern: rule.pattern }) : rule)),
  )
  return edited
}

/** Removes the rule of that very pattern; false where there is none. */
export async function removePin(path: string, pattern: string): Promise<boolean> {
  let found = false
  await change(path, (rules) => {
    const kept = rules.filter((rule) => rule.pattern.text !== pattern)
    found = kept.length < rules.length
    return kept
  })
  return found
}

/** The pattern of a rule as a person writes it. Throws CONFIG_MALFORMED. */
export function patternOf(text: string, where = 'pattern'): Pattern {
  const pattern = parsePattern(text)
  if (pattern === undefined) {
    const what = `${JSON.stringify(text)} is no pattern: one * a segment, or /** at the end`
    throw new ClientError('CONFIG_MALFORMED', { path: where, what })
  }
  return pattern
}

async function change(path: string, edit: (rules: readonly PinRule[]) => readonly PinRule[]): Promise<void> {
  try {
    const file = behindLinks(path)
    ensureFolder(dirname(file))
    await withLock(join(dirname(file), `.${basename(file)}.lock`), async () => {
      await writeAtomically(file, encodePins(edit(await loadPins(file))), 0o644)
    })
  } catch (error) {
    throw unusable(path, error)
  }
}

/** A trust file that is a link stays one: configuration tools lay them. */
function behindLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return path
    throw error
  }
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw unusable(path, error)
  }
}

function unusable(path: string, cause: unknown): unknown {
  const errno = errnoOf(cause)
  return errno === undefined ? cause : new ClientError('CONFIG_UNUSABLE', { path, reason: errnoText(errno) }, { cause })
}

function encodePins(rules: readonly PinRule[]): Uint8Array {
  const pins = rules.map(({ pattern, pin, server, serverCa }) => ({
    pattern: pattern.text,
    ...encodePin(pin),
    server,
    serverCa,
  }))
  return encodeText(`${JSON.stringify({ version: 1, pins }, null, 2)}\n`)
}

/** A root is kept whole, in base64: its exact bytes are what was pinned. */
function encodePin(pin: Pin): object {
  if (pin.kind === 'root') return { root: Buffer.from(pin.bytes).toString('base64') }
  if (pin.kind === 'keys') return { keys: pin.keyids, threshold: pin.threshold }
  if (pin.kind === 'ca') return { ca: Buffer.from(pin.bytes).toString('utf8') }
  return { tofu: true }
}

/** The authorities of a file, whatever is written around them. Throws CONFIG_MALFORMED; `where` names it in errors. */
export function authorityPin(text: string, where: string): Extract<Pin, { readonly kind: 'ca' }> {
  const bytes = authoritiesOf(text)
  if (bytes !== undefined) return { kind: 'ca', bytes }
  throw new ClientError('CONFIG_MALFORMED', { path: where, what: 'it holds no certificate of an authority, in PEM' })
}

function authoritiesOf(text: string): Uint8Array | undefined {
  try {
    const blocks = readPemBlocks(text, 'certificates').filter(({ label }) => label === 'CERTIFICATE')
    const bytes = encodeText(blocks.map(({ der }) => writePem('CERTIFICATE', der)).join(''))
    return nativeSuite.certificates(bytes)?.every(({ isCa }) => isCa) === true ? bytes : undefined
  } catch (error) {
    if (isKeyError(error)) return undefined
    throw error
  }
}

function decodePins(bytes: Uint8Array, path: string): readonly PinRule[] {
  try {
    const root = objectOf(decodeJson(bytes, { depth: 8, what: 'trust file' }), 'the file')
    only(root, ['version', 'pins'], 'the file')
    if (member(root, 'version') !== 1) throw new Malformed('version: only 1 is known')
    const known = new Set<string>()
    const rules = listOf(member(root, 'pins'), 'pins').map((pin, i) => decodeRule(pin, `pins[${i}]`, known))
    refuseRepeated(rules)
    return rules
  } catch (cause) {
    if (cause instanceof Malformed) throw new ClientError('CONFIG_MALFORMED', { path, what: cause.message })
    if (isTrustError(cause)) throw new ClientError('CONFIG_MALFORMED', { path, what: cause.message }, { cause })
    throw cause
  }
}

/** What is wrong, before it is known which file it is in. */
class Malformed extends Error {}

/** `known` are the authorities that were read already: many pins have the same. */
function decodeRule(json: Json, where: string, known: Set<string>): PinRule {
  const rule = objectOf(json, where)
  only(rule, ['pattern', 'server', 'serverCa', 'root', 'keys', 'threshold', 'ca', 'tofu'], where)
  const text = textOf(member(rule, 'pattern'), `${where}.pattern`)
  const pattern = parsePattern(text)
  if (pattern === undefined) throw new Malformed(`${where}.pattern: ${JSON.stringify(text)} is no pattern`)
  return { pattern, pin: decodePin(rule, where), ...decodeServer(rule, where, known) }
}

function decodeServer(rule: JsonObject, where: string, known: Set<string>): Pick<PinRule, 'server' | 'serverCa'> {
  const [url, ca] = [member(rule, 'server'), member(rule, 'serverCa')]
  const server = url === undefined ? undefined : serverOf(url, `${where}.server`)
  if (ca === undefined) return server === undefined ? {} : { server }
  if (server === undefined || !isHttps(server))
    throw new Malformed(`${where}.serverCa: it goes with a server of https only`)
  return { server, serverCa: decodeServerCa(textOf(ca, `${where}.serverCa`), `${where}.serverCa`, known) }
}

/** Whether each is a certificate is found out where they are used: most runs use one pin of many, or none. */
function decodeServerCa(text: string, where: string, known: Set<string>): string {
  if (known.has(text)) return text
  const refuse = (why: string): never => {
    throw new Malformed(`${where}: ${why}`)
  }
  if (formOfServerCa(text, refuse) !== text) refuse('it is not written as "tagseal trust add" writes it')
  known.add(text)
  return text
}

function decodePin(rule: JsonObject, where: string): Pin {
  const [root, keys, ca, tofu] = ['root', 'keys', 'ca', 'tofu'].map((name) => member(rule, name))
  if ([root, keys, ca, tofu].filter((given) => given !== undefined).length !== 1) {
    throw new Malformed(`${where}: give exactly one of root, keys, ca and tofu`)
  }
  if (keys === undefined && member(rule, 'threshold') !== undefined) {
    throw new Malformed(`${where}.threshold: it goes with keys only`)
  }
  if (root !== undefined) return { kind: 'root', bytes: base64Of(textOf(root, `${where}.root`), `${where}.root`) }
  if (keys !== undefined) return decodeKeys(keys, member(rule, 'threshold'), where)
  if (ca !== undefined) return decodeAuthority(textOf(ca, `${where}.ca`), `${where}.ca`)
  if (tofu !== true) throw new Malformed(`${where}.tofu: true is all it can say`)
  return { kind: 'tofu' }
}

function decodeKeys(keys: Json, threshold: Json | undefined, where: string): Pin {
  const keyids = listOf(keys, `${where}.keys`).map((id, i) => keyIdOf(id, `${where}.keys[${i}]`))
  if (new Set(keyids).size !== keyids.length) throw new Malformed(`${where}.keys: a key is named twice`)
  const need = threshold ?? 1
  if (typeof need !== 'number' || !Number.isSafeInteger(need) || need < 1 || need > keyids.length) {
    throw new Malformed(`${where}.threshold: an integer from 1 to the number of keys`)
  }
  return { kind: 'keys', keyids, threshold: need }
}

function decodeAuthority(text: string, where: string): Pin {
  const bytes = authoritiesOf(text)
  if (bytes === undefined) throw new Malformed(`${where}: it holds no certificate of an authority, in PEM`)
  return { kind: 'ca', bytes }
}

function refuseRepeated(rules: readonly PinRule[]): void {
  const known = new Set<string>()
  for (const [i, { pattern }] of rules.entries()) {
    if (known.has(pattern.text)) throw new Malformed(`pins[${i}].pattern: ${pattern.text} is there twice`)
    known.add(pattern.text)
  }
}

function keyIdOf(json: Json, where: string): KeyId {
  const text = textOf(json, where)
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Malformed(`${where}: a key id is 64 digits, 0 to 9 and a to f`)
  return keyId(text)
}

function serverOf(json: Json, where: string): string {
  const text = textOf(json, where)
  try {
    return baseUrl(text)
  } catch (error) {
    if (error instanceof ClientError) throw new Malformed(`${where}: ${error.message}`)
    throw error
  }
}

/** Strict: what decodes must encode back to the same text. */
function base64Of(text: string, where: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  if (text === '' || bytes.toString('base64') !== text) throw new Malformed(`${where}: it is not base64`)
  return bytes
}

function objectOf(json: Json | undefined, where: string): JsonObject {
  if (!isJsonObject(json)) throw new Malformed(`${where}: should be an object`)
  return json
}

function listOf(json: Json | undefined, where: string): readonly Json[] {
  if (!isList(json)) throw new Malformed(`${where}: should be a list`)
  return json
}

function isList(json: Json | undefined): json is readonly Json[] {
  return Array.isArray(json)
}

function textOf(json: Json | undefined, where: string): string {
  if (typeof json !== 'string') throw new Malformed(`${where}: should be a text`)
  return json
}

/** A misspelt member would be a rule that silently does not hold. */
function only(object: JsonObject, known: readonly string[], where: string): void {
  for (const [name] of members(object)) {
    if (!known.includes(name)) throw new Malformed(`${where}: ${JSON.stringify(name)} means nothing here`)
  }
}
