/** The signed part of each role, as Notary v1 writes it. */
import { roleName, version } from '../model/ids.ts'
import type { RoleName, Version } from '../model/ids.ts'
import { member, members } from '../model/json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type {
  FileMeta,
  Metadata,
  MetadataOf,
  RoleKeys,
  Root,
  Snapshot,
  TargetFile,
  Targets,
  Timestamp,
  TopRole,
} from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import { parseGoDate } from './date.ts'
import {
  booleanIn,
  brandIn,
  brandOf,
  build,
  buildFrom,
  dateIn,
  lengthIn,
  malformed,
  objectIn,
  objectOf,
  stringIn,
} from './fields.ts'
import { decodeDelegations, delegationName, encodeDelegations } from './notary-delegations.ts'
import { decodeFileMeta, decodeHashes, encodeFileMeta, encodeHashes, strangersIn } from './notary-fields.ts'
import { decodeKeys, decodeRoleKeys, encodeKeys, encodeRoleKeys } from './notary-keys.ts'

/** `_type`. Delegated roles are `Targets` as well. */
export const TYPES = {
  root: 'Root',
  timestamp: 'Timestamp',
  snapshot: 'Snapshot',
  targets: 'Targets',
} as const satisfies Record<TopRole, string>

/** Notary's own servers keep versions in 32 bits: nothing could follow the greatest of them. */
const LAST_VERSION = 2 ** 31 - 2

export function decodeBody<T extends TopRole>(type: T, body: JsonObject, suite: Suite): MetadataOf<T> {
  const got = stringIn(body, '_type', type)
  if (got !== TYPES[type]) throw malformed(`${type}._type`, got, TYPES[type])
  const decode: (body: JsonObject, suite: Suite) => MetadataOf<T> = DECODERS[type]
  return decode(body, suite)
}

export function encodeBody(body: Metadata): JsonObject {
  if (body.version > LAST_VERSION) throw malformed(`${body.type}.version`, body.version, `at most ${LAST_VERSION}`)
  const common = { _type: TYPES[body.type], expires: body.expiresText, version: body.version }
  return build({ ...common, ...encodeOwn(body) }, body.unknown)
}

const DECODERS: { readonly [T in TopRole]: (body: JsonObject, suite: Suite) => MetadataOf<T> } = {
  root: decodeRoot,
  timestamp: decodeTimestamp,
  snapshot: decodeSnapshot,
  targets: decodeTargets,
}

function encodeOwn(body: Metadata): Readonly<Record<string, Json | undefined>> {
  switch (body.type) {
    case 'root':
      return {
        consistent_snapshot: body.consistentSnapshot,
        keys: encodeKeys(body.keys),
        roles: buildFrom(body.roles, (role) => encodeRoleKeys(role)),
      }
    case 'timestamp':
      return { meta: build({ snapshot: encodeFileMeta(body.snapshot) }) }
    case 'snapshot':
      return { meta: buildFrom(body.meta, encodeFileMeta) }
    case 'targets':
      return {
        delegations: encodeDelegations(body.delegations ?? { keys: new Map(), roles: [], unknown: new Map() }),
        targets: buildFrom(body.targets, encodeTarget),
      }
  }
}

function decodeCommon(body: JsonObject, type: TopRole, known: readonly string[]) {
  return {
    version: brandIn(boundedVersion, body, 'version', type),
    expires: dateIn(body, 'expires', type, parseGoDate),
    expiresText: stringIn(body, 'expires', type),
    unknown: strangersIn(body, ['_type', 'version', 'expires', ...known], type),
  }
}

function boundedVersion(value: unknown): Version {
  const bounded = version(value)
  if (bounded > LAST_VERSION) throw malformed('version', bounded, `at most ${LAST_VERSION}`)
  return bounded
}

function decodeRoot(body: JsonObject, suite: Suite): Root {
  const keys = decodeKeys(body, 'root', suite)
  return {
    type: 'root',
    ...decodeCommon(body, 'root', ['consistent_snapshot', 'keys', 'roles']),
    consistentSnapshot: booleanIn(body, 'consistent_snapshot', 'root'),
    keys,
    roles: decodeRootRoles(objectIn(body, 'roles', 'root'), keys),
  }
}

/** All four, each with keys that are there. */
function decodeRootRoles(object: JsonObject, keys: Root['keys']): ReadonlyMap<RoleName, RoleKeys> {
  for (const name of Object.keys(TYPES)) objectIn(object, name, 'root.roles')
  const roles = new Map<RoleName, RoleKeys>()
  for (const [name, value] of members(object)) {
    const place = `root.roles.${name}`
    const role = decodeRoleKeys(objectOf(value, place), place)
    const missing = role.keyids.find((id) => !keys.has(id))
    if (missing !== undefined) throw malformed(`${place}.keyids`, missing, 'a key that is listed')
    roles.set(brandOf(roleName, name, place), role)
  }
  return roles
}

function decodeTimestamp(body: JsonObject): Timestamp {
  const meta = objectIn(body, 'meta', 'timestamp')
  const snapshot = objectIn(meta, 'snapshot', 'timestamp.meta')
  if (members(meta).length !== 1) throw malformed('timestamp.meta', meta, 'snapshot alone')
  return {
    type: 'timestamp',
    ...decodeCommon(body, 'timestamp', ['meta']),
    snapshot: decodeFileMeta(snapshot, 'timestamp.meta.snapshot'),
  }
}

/** Lists the root as well, and both it and targets must be there. */
function decodeSnapshot(body: JsonObject): Snapshot {
  const listed = objectIn(body, 'meta', 'snapshot')
  for (const name of ['root', 'targets']) objectIn(listed, name, 'snapshot.meta')
  const meta = new Map<RoleName, FileMeta>()
  for (const [name, value] of members(listed)) {
    const place = `snapshot.meta.${name}`
    const role = name === 'root' || name === 'targets' ? roleName(name) : brandOf(delegationName, name, place)
    meta.set(role, decodeFileMeta(objectOf(value, place), place))
  }
  return { type: 'snapshot', ...decodeCommon(body, 'snapshot', ['meta']), meta }
}

function decodeTargets(body: JsonObject, suite: Suite): Targets {
  const targets = new Map<string, TargetFile>()
  const listed = objectIn(body, 'targets', 'targets')
  for (const path of Object.keys(listed)) targets.set(path, decodeTarget(listed, path))
  const common = decodeCommon(body, 'targets', ['targets', 'delegations'])
  const object = member(body, 'delegations') === undefined ? undefined : objectIn(body, 'delegations', 'targets')
  const delegations = object && decodeDelegations(object, 'targets.delegations', suite)
  return { type: 'targets', ...common, targets, ...(delegations === undefined ? {} : { delegations }) }
}

function decodeTarget(listed: JsonObject, path: string): TargetFile {
  const target = objectIn(listed, path, 'targets.targets')
  const place = `targets.targets.${path}`
  const common = {
    length: lengthIn(target, 'length', place),
    hashes: decodeHashes(target, place),
    unknown: strangersIn(target, ['length', 'hashes', 'custom'], place),
  }
  const custom = member(target, 'custom')
  return custom === undefined ? common : { ...common, custom }
}

function encodeTarget({ length, hashes, custom, unknown }: TargetFile): JsonObject {
  return build({ custom, hashes: encodeHashes(hashes), length }, unknown)
}
