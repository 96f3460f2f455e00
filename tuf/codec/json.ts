import { TrustError } from '../errors.ts'
import { isJsonObject, member } from '../model/json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import { readStrictly } from './json-reader.ts'

type ReadLimits = { readonly depth: number; readonly what: string }

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const ENCODER = new TextEncoder()

/**
 * Reads a JSON document strictly: fatal UTF-8, no byte order mark, no duplicate members, integers within 2^53 only,
 * no lone surrogates, bounded depth, nothing after the end. Throws `TrustError` MALFORMED.
 *
 * The shortcut: the engine's own parser, then write what it understood and compare with what came. Equal texts
 * leave no room for two readings. Files we wrote take it; any other takes the strict reader, linear as well.
 */
export function decodeJson(bytes: Uint8Array, limits: ReadLimits): Json {
  const text = decodeText(bytes, limits.what)
  const quick = parseNatively(text, limits.depth)
  return quick !== undefined && encodeWire(quick) === text ? quick : readStrictly(text, limits)
}

/**
 * Reads a signed file, and gives the canonical bytes of its member `signed` as they were received.
 * The same shortcut, the signed part written once: where no string needed an escape that canonical JSON lacks,
 * its text is its canonical form.
 */
export function decodeSigned(bytes: Uint8Array, limits: ReadLimits): { value: Json; payload: Uint8Array } {
  const text = decodeText(bytes, limits.what)
  const quick = parseNatively(text, limits.depth)
  if (isJsonObject(quick) && Object.keys(quick).join() === 'signatures,signed') {
    const signed = encodeWire(member(quick, 'signed') ?? null)
    if (text === `{"signatures":${encodeWire(member(quick, 'signatures') ?? null)},"signed":${signed}}`) {
      return { value: quick, payload: WIRE_ONLY.test(signed) ? canonicalSigned(quick) : ENCODER.encode(signed) }
    }
  }
  const value = readStrictly(text, limits)
  return { value, payload: canonicalSigned(value) }
}

function canonicalSigned(file: Json): Uint8Array {
  return encodeCanonical((isJsonObject(file) ? member(file, 'signed') : undefined) ?? null)
}

/** An escape that JSON needs and canonical JSON does not know. */
const WIRE_ONLY = /\\[^"\\]/

/**
 * Canonical JSON (OLPC) as the bytes to sign: members by code point, no blanks, only `\` and `"` escaped, so that a
 * PEM key's line feeds stand as they are. Throws MALFORMED for what has no canonical form, which only a caller can
 * bring: a fraction, a number beyond 2^53, half of a surrogate pair.
 */
export function encodeCanonical(value: Json): Uint8Array {
  const text = write(value, quoteCanonically)
  if (!text.isWellFormed()) throw new TrustError('MALFORMED', { what: 'text to sign', got: 'half of a surrogate pair' })
  return ENCODER.encode(text)
}

/** The same order and spacing as valid JSON: what we store and send. Equal to the canonical form but for escapes. */
export function encodeWire(value: Json): string {
  return write(value, JSON.stringify)
}

export function encodeText(text: string): Uint8Array {
  return ENCODER.encode(text)
}

function decodeText(bytes: Uint8Array, what: string): string {
  try {
    return UTF8.decode(bytes)
  } catch (cause) {
    throw new TrustError('MALFORMED', { what, got: 'bytes that are not UTF-8' }, { cause })
  }
}

function parseNatively(text: string, depth: number): Json | undefined {
  if (text.includes('\\ud')) return undefined // an escaped surrogate survives the comparison, even half of a pair
  try {
    const value: unknown = JSON.parse(text)
    return isJsonWithin(value, depth) ? value : undefined
  } catch {
    return undefined // the strict reader says what is wrong, and where
  }
}

/** What the native parser gives is always JSON; its depth is bounded here, and with it the recursion of `write`. */
function isJsonWithin(value: unknown, depth: number): value is Json {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  for (const child of Object.values(value)) if (!isJsonWithin(child, depth - 1)) return false
  return true
}

function write(value: Json, quote: (text: string) => string): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'number') return writeInteger(value)
  if (value === null || typeof value === 'boolean') return String(value)
  if (!isJsonObject(value)) return writeArray(value, quote)
  return writeObject(value, quote)
}

/** Nothing else has one spelling. What the native parser made of a fraction ends here as well. */
function writeInteger(value: number): string {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return String(value)
  throw new TrustError('MALFORMED', { what: 'number', got: Object.is(value, -0) ? '-0' : String(value) })
}

function writeArray(values: readonly Json[], quote: (text: string) => string): string {
  let out = '['
  for (let i = 0; i < values.length; i++) out += (i === 0 ? '' : ',') + write(values[i] ?? null, quote)
  return `${out}]`
}

function writeObject(value: JsonObject, quote: (text: string) => string): string {
  let out = '{'
  for (const name of inOrder(Object.keys(value))) {
    out += `${out === '{' ? '' : ','}${quote(name)}:${write(value[name] ?? null, quote)}`
  }
  return `${out}}`
}

/** Sorting 100,000 names that are in order already would cost more than to write them. */
function inOrder(names: string[]): string[] {
  for (let i = 1; i < names.length; i++) {
    if (compareCodePoints(names[i - 1] ?? '', names[i] ?? '') > 0) return names.sort(compareCodePoints)
  }
  return names
}

/** By code point, which is by UTF-8 byte. JavaScript's own order is by UTF-16 unit, which differs above U+FFFF. */
export function compareCodePoints(a: string, b: string): number {
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : a > b ? 1 : 0
  const [left, right] = [[...a], [...b]]
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
const SURROGATE = /[\ud800-\udfff]/

function quoteCanonically(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}
