/** Reads members of untrusted objects. Each refusal names the place, such as `targets.delegations.roles[2].threshold`. */
import { TrustError } from '../errors.ts'
import { instant } from '../model/ids.ts'
import type { Instant } from '../model/ids.ts'
import { isJsonList, isJsonObject, member, members, setMember } from '../model/json.ts'
import type { Json, JsonDraft, JsonObject } from '../model/json.ts'
import type { Unknown } from '../model/metadata.ts'
import { parseDate } from './date.ts'
import { sortedNames } from './order.ts'

export function objectOf(value: Json | undefined, place: string): JsonObject {
  if (!isJsonObject(value)) throw malformed(place, value, 'an object')
  return value
}

export function objectIn(parent: JsonObject, name: string, place: string): JsonObject {
  const value = member(parent, name)
  if (!isJsonObject(value)) throw malformed(`${place}.${name}`, value, 'an object')
  return value
}

export function listIn(parent: JsonObject, name: string, place: string): readonly Json[] {
  const value = member(parent, name)
  if (!isJsonList(value)) throw malformed(`${place}.${name}`, value, 'a list')
  return value
}

export function stringIn(parent: JsonObject, name: string, place: string): string {
  const value = member(parent, name)
  if (typeof value !== 'string') throw malformed(`${place}.${name}`, value, 'a string')
  return value
}

export function stringsIn(parent: JsonObject, name: string, place: string): readonly string[] {
  return listIn(parent, name, place).map((value, i) => {
    if (typeof value !== 'string') throw malformed(`${place}.${name}[${i}]`, value, 'a string')
    return value
  })
}

export function booleanIn(parent: JsonObject, name: string, place: string): boolean {
  const value = member(parent, name)
  if (typeof value !== 'boolean') throw malformed(`${place}.${name}`, value, 'true or false')
  return value
}

/** An integer within bounds; every number that the strict reader lets through is a safe integer. */
export function integerIn(parent: JsonObject, name: string, place: string, least: number, most: number): number {
  const value = member(parent, name)
  if (typeof value !== 'number' || value < least || value > most) {
    throw malformed(`${place}.${name}`, value, `an integer from ${least} to ${most}`)
  }
  return value
}

/** A count of bytes. */
export function lengthIn(parent: JsonObject, name: string, place: string): number {
  return integerIn(parent, name, place, 0, Number.MAX_SAFE_INTEGER)
}

export function dateIn(parent: JsonObject, name: string, place: string, parse = parseDate): Instant {
  const text = stringIn(parent, name, place)
  const milliseconds = parse(text)
  if (milliseconds === undefined) throw malformed(`${place}.${name}`, text, 'a date as 2030-12-31T23:59:59Z')
  return instant(milliseconds)
}

/** The member that `make` accepts, its complaint told with the place. */
export function brandIn<T>(make: (value: unknown) => T, parent: JsonObject, name: string, place: string): T {
  return brandOf(make, member(parent, name), `${place}.${name}`)
}

export function brandOf<T>(make: (value: unknown) => T, value: Json | undefined, place: string): T {
  try {
    return make(value)
  } catch (cause) {
    throw new TrustError('MALFORMED', { what: place, got: show(value) }, { cause })
  }
}

/** The members not named in `known`. */
export function unknownIn(object: JsonObject, known: readonly string[]): Unknown {
  let unknown: Map<string, Json> | undefined
  for (const name of Object.keys(object)) {
    if (!known.includes(name)) (unknown ??= new Map()).set(name, member(object, name) ?? null)
  }
  return unknown ?? NONE
}
const NONE: Unknown = new Map()

/** An object of these members, those that are undefined left out, the unknown ones put back where they belong. */
export function build(known: Readonly<Record<string, Json | undefined>>, unknown: Unknown = NONE): JsonObject {
  const entries = new Map<string, Json>(unknown)
  for (const name of Object.keys(known)) {
    const value = known[name]
    if (value !== undefined) entries.set(name, value)
  }
  return buildFrom(entries, (value) => value)
}

/** An object keyed by outside text, its members in canonical order, so that the engine can write it as it is. */
export function buildFrom<V>(entries: ReadonlyMap<string, V>, tree: (value: V) => Json): JsonObject {
  const draft: JsonDraft = {}
  for (const name of sortedNames([...entries.keys()])) {
    const value = entries.get(name)
    if (value !== undefined) setMember(draft, name, tree(value))
  }
  return draft
}

export function malformed(place: string, value: Json | undefined, wanted: string): TrustError {
  return new TrustError('MALFORMED', { what: place, got: `${show(value)} where ${wanted} was due` })
}

function show(value: Json | undefined): string {
  if (value === undefined) return 'nothing'
  if (isJsonObject(value)) return `an object of ${members(value).length} members`
  return isJsonList(value) ? `a list of ${value.length}` : JSON.stringify(value).slice(0, 80)
}
