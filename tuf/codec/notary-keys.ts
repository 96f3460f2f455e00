/** Keys, and who may sign, as Notary v1 writes them. */
import { TrustError } from '../errors.ts'
import { keyId, threshold } from '../model/ids.ts'
import type { KeyId } from '../model/ids.ts'
import { member, members } from '../model/json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { PublicKey, RoleKeys } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import { brandIn, brandOf, build, buildFrom, malformed, objectIn, objectOf, stringIn } from './fields.ts'
import { encodeCanonical } from './json.ts'
import { listOrNull, refuseBase64, strangersIn, unlessNull, withNull } from './notary-fields.ts'
import { schemeOfKeytype } from './notary-methods.ts'

/** The member `keys`. Every id is computed, never believed. */
export function decodeKeys(parent: JsonObject, place: string, suite: Suite): ReadonlyMap<KeyId, PublicKey> {
  const keys = new Map<KeyId, PublicKey>()
  for (const [listed, value] of members(objectIn(parent, 'keys', place))) {
    const at = `${place}.keys.${listed}`
    const key = decodeKey(objectOf(value, at), at, suite)
    if (key.id !== listed) throw new TrustError('MALFORMED', { what: at, got: `the key whose id is ${key.id}` })
    keys.set(key.id, key)
  }
  return keys
}

export function encodeKeys(keys: ReadonlyMap<KeyId, PublicKey>): JsonObject {
  return buildFrom(keys, (key) => build({ keytype: key.keytype, keyval: keyval(key) }, key.unknown))
}

/** Unknown members are no part of an id: Go makes it of the two that it knows, with `"private":null` among them. */
export function withId(key: Omit<PublicKey, 'id'>, suite: Suite): PublicKey {
  const object = build({ keytype: key.keytype, keyval: build({ private: null, public: key.public }) })
  return { ...key, id: keyId(suite.hash('sha256', encodeCanonical(object))) }
}

/** `keyids` and `threshold`. A role that lost its last key says `null`: nobody can sign for it. */
export function decodeRoleKeys(role: JsonObject, place: string, known: readonly string[] = []): RoleKeys {
  const keyids = listOrNull(role, 'keyids', place).map((id) => brandOf(keyId, id, `${place}.keyids`))
  if (new Set(keyids).size !== keyids.length) throw malformed(`${place}.keyids`, keyids, 'each key id once')
  return {
    keyids,
    threshold: brandIn(threshold, role, 'threshold', place),
    unknown: withNull(role, 'keyids', strangersIn(role, ['keyids', 'threshold', ...known], place)),
  }
}

export function encodeRoleKeys(
  { keyids, threshold, unknown }: RoleKeys,
  more: Readonly<Record<string, Json | undefined>> = {},
): JsonObject {
  return build({ keyids: unlessNull(keyids, 'keyids', unknown), threshold, ...more }, unknown)
}

/** A key of a type that we do not know is read all the same: it verifies nothing. */
function decodeKey(object: JsonObject, place: string, suite: Suite): PublicKey {
  const value = objectIn(object, 'keyval', place)
  const text = member(value, 'public')
  const secret = member(value, 'private')
  refuseBase64(text, `${place}.keyval.public`)
  if (secret !== null) throw malformed(`${place}.keyval.private`, secret, 'null')
  const keytype = stringIn(object, 'keytype', place)
  const key = {
    keytype,
    scheme: schemeOfKeytype(keytype),
    public: stringIn(value, 'public', `${place}.keyval`),
    unknown: strangersIn(object, ['keytype', 'keyval'], place),
    unknownKeyval: strangersIn(value, ['private', 'public'], place),
  }
  return withId(key, suite)
}

function keyval(key: PublicKey): JsonObject {
  return build({ private: null, public: key.public }, key.unknownKeyval)
}
