import { TrustError } from '../errors.ts'
import { isJsonList, isJsonObject, member } from '../model/json.ts'
import type { Json } from '../model/json.ts'
import { readStrictly } from './json-reader.ts'
import { compareCodePoints, sortedNames } from './order.ts'

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

/** How a dialect puts a file together of its two members, each written in order already. */
export type Layout = (signed: string, signatures: string) => string

/**
 * Reads a signed file, and gives the canonical bytes of its member `signed` as they were received.
 * The same shortcut, the signed part written once for the comparison and for the payload.
 */
export function decodeSigned(
  bytes: Uint8Array,
  limits: ReadLimits,
  layout: Layout,
): { value: Json; payload: Uint8Array } {
  const text = decodeText(bytes, limits.what)
  const quick = parseNatively(text, limits.depth)
  if (isJsonObject(quick) && Object.keys(quick).length === 2) {
    const signed = encodeWire(member(quick, 'signed') ?? null)
    if (layout(signed, encodeWire(member(quick, 'signatures') ?? null)) === text) {
      return { value: quick, payload: ENCODER.encode(canonicalText(signed)) }
    }
  }
  const value = readStrictly(text, limits)
  return { value, payload: encodeCanonical((isJsonObject(value) ? member(value, 'signed') : undefined) ?? null) }
}

/**
 * Canonical JSON (OLPC) as the bytes to sign: members by code point, no blanks, only `\` and `"` escaped, so that a
 * PEM key's line feeds stand as they are. Throws MALFORMED for what has no canonical form, which only a caller can
 * bring: a fraction, a number beyond 2^53, half of a surrogate pair.
 */
export function encodeCanonical(value: Json): Uint8Array {
  return ENCODER.encode(canonicalText(encodeWire(value)))
}

/**
 * The same order and spacing as valid JSON: what we store and send. Equal to the canonical form but for escapes.
 * Where the members stand in order already, the engine writes it.
 */
export function encodeWire(value: Json): string {
  return isInOrder(value) ? JSON.stringify(value) : writeInOrder(value)
}

/** The wire form with every escape undone that canonical JSON does not know: all but `\\` and `\"`. */
function canonicalText(wire: string): string {
  return wire.replace(ESCAPE, (escape: string, letter: string, hex: string | undefined) => {
    if (hex === undefined) return CONTROLS.get(letter) ?? escape
    const unit = Number.parseInt(hex, 16)
    if (unit < 0x20) return String.fromCharCode(unit)
    throw new TrustError('MALFORMED', { what: 'text to sign', got: 'half of a surrogate pair' })
  })
}
const ESCAPE = /\\(["\\bfnrt]|u([0-9a-f]{4}))/g
const CONTROLS: ReadonlyMap<string, string> = new Map(Object.entries({ b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }))

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

/** What the native parser gives is always JSON; its depth is bounded here, and with it every recursion below. */
function isJsonWithin(value: unknown, depth: number): value is Json {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  if (Array.isArray(value)) return value.every((child) => isJsonWithin(child, depth - 1))
  // One by one: of an object with a hundred thousand members the engine lists the names in half the time of the values.
  return Object.keys(value).every((name) => isJsonWithin(Reflect.get(value, name), depth - 1))
}

/** Whether the members of every object stand by code point as they are. Throws MALFORMED for what is no integer. */
function isInOrder(value: Json): boolean {
  if (typeof value === 'number') refuseFraction(value)
  if (typeof value !== 'object' || value === null) return true
  if (isJsonList(value)) return value.every(isInOrder)
  let before = ''
  for (const name of Object.keys(value)) {
    if (compareCodePoints(before, name) > 0 || !isInOrder(value[name] ?? null)) return false
    before = name
  }
  return true
}

/** Nothing else has one spelling. What the native parser made of a fraction ends here as well. */
function refuseFraction(value: number): void {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return
  throw new TrustError('MALFORMED', { what: 'number', got: Object.is(value, -0) ? '-0' : String(value) })
}

function writeInOrder(value: Json): string {
  if (typeof value === 'number') refuseFraction(value)
  if (isJsonList(value)) return `[${value.map(writeInOrder).join(',')}]`
  if (!isJsonObject(value)) return JSON.stringify(value)
  const names = sortedNames(Object.keys(value))
  return `{${names.map((name) => `${JSON.stringify(name)}:${writeInOrder(value[name] ?? null)}`).join(',')}}`
}
