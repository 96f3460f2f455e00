/** What members of Notary's objects have in common: hashes in base64, lists that Go writes as null, strangers. */
import { TrustError } from '../errors.ts'
import { member, members } from '../model/json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { FileMeta, Hashes, Unknown } from '../model/metadata.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { build, buildFrom, lengthIn, listIn, malformed, objectIn, unknownIn } from './fields.ts'
import { decodeHex, encodeHex } from './hex.ts'

/**
 * The members not named in `known`. One that Go would take for a known one is refused: its reader does not tell
 * `Version` from `version`, so two readers of one signed file would see two things.
 */
export function strangersIn(object: JsonObject, known: readonly string[], place: string): Unknown {
  const strangers = unknownIn(object, known)
  for (const name of strangers.keys()) {
    if (known.includes(name.toUpperCase().toLowerCase())) throw malformed(`${place}.${name}`, name, 'another name')
  }
  return strangers
}

/** No member but those named in `known`: nothing signs what stands outside of `signed`, and Go would drop it. */
export function refuseStrangers(object: JsonObject, known: readonly string[], place: string): void {
  const [stranger] = unknownIn(object, known).keys()
  if (stranger !== undefined) throw malformed(`${place}.${stranger}`, stranger, 'no such member')
}

/** A list that Go writes as `null` when there never was anything in it. */
export function listOrNull(parent: JsonObject, name: string, place: string): readonly Json[] {
  return member(parent, name) === null ? [] : listIn(parent, name, place)
}

/** To be written back as it was: an empty list is `null` where it was read as that. */
export function withNull(parent: JsonObject, name: string, unknown: Unknown): Unknown {
  return member(parent, name) === null ? new Map(unknown).set(name, null) : unknown
}

/** The list, or undefined where the `null` among the unknown members stands for it. */
export function unlessNull<T extends Json>(
  list: readonly T[],
  name: string,
  unknown: Unknown,
): readonly T[] | undefined {
  return list.length === 0 && unknown.get(name) === null ? undefined : list
}

/** Base64 of whole bytes, in the one spelling. */
export function refuseBase64(text: Json | undefined, place: string): Uint8Array {
  const bytes = typeof text === 'string' ? decodeBase64(text) : undefined
  if (bytes === undefined) throw malformed(place, text, 'base64')
  return bytes
}

const SIZES: ReadonlyMap<string, number> = new Map([
  ['sha256', 32],
  ['sha512', 64],
])

/** In the model as everywhere: lower-case hex. */
export function decodeHashes(parent: JsonObject, place: string): Hashes {
  const hashes = new Map<string, string>()
  for (const [name, text] of members(objectIn(parent, 'hashes', place))) {
    const digest = typeof text === 'string' ? decodeBase64(text) : undefined
    const size = SIZES.get(name) ?? digest?.length
    if (digest === undefined || digest.length === 0 || digest.length !== size) {
      throw malformed(`${place}.hashes.${name}`, text, `the base64 of ${size ?? 'some'} bytes`)
    }
    hashes.set(name, encodeHex(digest))
  }
  if (hashes.size === 0) throw new TrustError('MALFORMED', { what: `${place}.hashes`, got: 'no hash at all' })
  return hashes
}

export function encodeHashes(hashes: Hashes): JsonObject {
  return buildFrom(hashes, (digest) => encodeBase64(decodeHex(digest) ?? new Uint8Array()))
}

/** What snapshot and timestamp say of a file. Without its sha256 nobody could ask for it. */
export function decodeFileMeta(meta: JsonObject, place: string): FileMeta {
  const hashes = decodeHashes(meta, place)
  if (!hashes.has('sha256')) throw malformed(`${place}.hashes`, member(meta, 'hashes'), 'a sha256')
  return {
    length: lengthIn(meta, 'length', place),
    hashes,
    unknown: strangersIn(meta, ['length', 'hashes'], place),
  }
}

export function encodeFileMeta({ length, hashes, unknown }: FileMeta): JsonObject {
  return build({ hashes: hashes && encodeHashes(hashes), length }, unknown)
}
