import { TrustError } from '../errors.ts'
import { isJsonObject, member, members } from '../model/json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { Unknown } from '../model/metadata.ts'

/** Reads members of untrusted objects, each refusal naming the place: `targets: delegations.roles[2].threshold`. */
export function objectOf(value: Json | undefined, what: string): JsonObject {
  if (!isJsonObject(value)) throw malformed(what, value, 'an object')
  return value
}

export function arrayOf(value: Json | undefined, what: string): readonly Json[] {
  if (!Array.isArray(value)) throw malformed(what, value, 'a list')
  return value
}

export function stringOf(value: Json | undefined, what: string): string {
  if (typeof value !== 'string') throw malformed(what, value, 'a string')
  return value
}

export function stringsOf(value: Json | undefined, what: string): readonly string[] {
  return arrayOf(value, what).map((each, i) => stringOf(each, `${what}[${i}]`))
}

/** A count of bytes: a safe integer of at least 0. */
export function lengthOf(value: Json | undefined, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed(what, value, 'a length')
  return value
}

export function booleanOf(value: Json | undefined, what: string): boolean {
  if (typeof value !== 'boolean') throw malformed(what, value, 'true or false')
  return value
}

/** The value that `make` accepts, its complaint told with the place. */
export function brandOf<T>(make: (value: unknown) => T, value: Json | undefined, what: string): T {
  try {
    return make(value)
  } catch (cause) {
    throw new TrustError('MALFORMED', { what, got: show(value) }, { cause })
  }
}

/** The members not named in `known`. */
export function unknownOf(object: JsonObject, known: readonly string[]): Unknown {
  let unknown: Map<string, Json> | undefined
  for (const name of Object.keys(object)) {
    if (!known.includes(name)) (unknown ??= new Map()).set(name, member(object, name) ?? null)
  }
  return unknown ?? NONE
}
const NONE: Unknown = new Map()

/** An object of these members, those that are undefined left out, the unknown ones put back. */
export function build(known: Readonly<Record<string, Json | undefined>>, unknown: Unknown): JsonObject {
  const object: { [name: string]: Json } = Object.create(null)
  for (const [name, value] of unknown) object[name] = value
  for (const [name, value] of Object.entries(known)) if (value !== undefined) object[name] = value
  return object
}

/** An object keyed by outside text. */
export function buildFrom(entries: Iterable<readonly [string, Json]>): JsonObject {
  const object: { [name: string]: Json } = Object.create(null)
  for (const [name, value] of entries) object[name] = value
  return object
}

export function malformed(what: string, value: Json | undefined, wanted: string): TrustError {
  return new TrustError('MALFORMED', { what, got: `${show(value)} where ${wanted} was due` })
}

function show(value: Json | undefined): string {
  if (value === undefined) return 'nothing'
  if (isJsonObject(value)) return `an object of ${members(value).length} members`
  return Array.isArray(value) ? `a list of ${value.length}` : JSON.stringify(value).slice(0, 80)
}
