/** Keys, and who may sign, as TUF 1.0 writes them (specification 4.2, 4.3). */
import { TrustError } from '../errors.ts'
import { keyId, threshold } from '../model/ids.ts'
import type { KeyId } from '../model/ids.ts'
import { member, members } from '../model/json.ts'
import type { JsonObject } from '../model/json.ts'
import type { PublicKey, RoleKeys } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import {
  brandIn,
  brandOf,
  build,
  buildFrom,
  malformed,
  objectIn,
  objectOf,
  stringIn,
  stringsIn,
  unknownIn,
} from './fields.ts'
import { encodeCanonical } from './json.ts'

/**
 * Keys that are listed under an id which is not theirs, each excepted by name: the listed id to the id that the key
 * object really has. Anything else that does not match is refused.
 */
export type KeyIdExceptions = ReadonlyMap<string, string>

export type KeyContext = { readonly suite: Suite; readonly exceptions: KeyIdExceptions }

/** The member `keys`. Every id is computed, never believed. */
export function decodeKeys(parent: JsonObject, place: string, context: KeyContext): ReadonlyMap<KeyId, PublicKey> {
  const keys = new Map<KeyId, PublicKey>()
  for (const [listed, value] of members(objectIn(parent, 'keys', place))) {
    const id = brandOf(keyId, listed, `${place}.keys`)
    keys.set(id, decodeKey(id, objectOf(value, `${place}.keys.${id}`), `${place}.keys.${id}`, context))
  }
  return keys
}

export function encodeKeys(keys: ReadonlyMap<KeyId, PublicKey>): JsonObject {
  return buildFrom(keys, keyTree)
}

/** The sha256 of the canonical key object, unknown members included (4.2). */
export function withId(key: Omit<PublicKey, 'id'>, suite: Suite): PublicKey {
  return { ...key, id: keyId(suite.hash('sha256', encodeCanonical(keyTree(key)))) }
}

/** `keyids` and `threshold`. A key id twice in the list is refused: it would read as more signers than there are. */
export function decodeRoleKeys(role: JsonObject, place: string, known: readonly string[] = []): RoleKeys {
  const keyids = stringsIn(role, 'keyids', place).map((id) => brandOf(keyId, id, `${place}.keyids`))
  if (new Set(keyids).size !== keyids.length) throw malformed(`${place}.keyids`, keyids, 'each key id once')
  return {
    keyids,
    threshold: brandIn(threshold, role, 'threshold', place),
    unknown: unknownIn(role, ['keyids', 'threshold', ...known]),
  }
}

export function encodeRoleKeys(
  { keyids, threshold, unknown }: RoleKeys,
  more: Parameters<typeof build>[0] = {},
): JsonObject {
  return build({ keyids, threshold, ...more }, unknown)
}

/** A key of a kind we do not know is read all the same: it verifies nothing, and must not keep others from it. */
function decodeKey(id: KeyId, object: JsonObject, place: string, { suite, exceptions }: KeyContext): PublicKey {
  const keyval = objectIn(object, 'keyval', place)
  const text = member(keyval, 'public')
  const hasText = typeof text === 'string' && text !== ''
  const key = {
    keytype: stringIn(object, 'keytype', place),
    scheme: stringIn(object, 'scheme', place),
    public: hasText ? text : '',
    unknown: unknownIn(object, ['keytype', 'scheme', 'keyval']),
    unknownKeyval: unknownIn(keyval, hasText ? ['public'] : []),
  }
  const computed = withId(key, suite)
  if (computed.id === id || exceptions.get(id) === computed.id || withoutHashNames(key, suite).id === id) {
    return { ...computed, id }
  }
  throw new TrustError('MALFORMED', { what: place, got: `the key whose id is ${computed.id}` })
}

/**
 * `keyid_hash_algorithms` was never in the specification. Old tools wrote it into key objects and took it out again
 * without changing the id, and it names no other key: so an id may be computed with or without it (ADR 0015).
 */
function withoutHashNames(key: Omit<PublicKey, 'id'>, suite: Suite): PublicKey {
  const unknown = new Map([...key.unknown].filter(([name]) => name !== 'keyid_hash_algorithms'))
  return withId({ ...key, unknown }, suite)
}

function keyTree(key: Omit<PublicKey, 'id'>): JsonObject {
  const keyval = build(key.public === '' ? {} : { public: key.public }, key.unknownKeyval)
  return build({ keytype: key.keytype, scheme: key.scheme, keyval }, key.unknown)
}
