/** The signed part of each role, as TUF 1.0 writes it (specification 4.3 to 4.6). */
import { TrustError } from '../errors.ts'
import { roleName, version } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import { member, members } from '../model/json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type {
  FileMeta,
  Hashes,
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
  unknownIn,
} from './fields.ts'
import { decodeDelegations, encodeDelegations } from './tuf-delegations.ts'
import { decodeKeys, decodeRoleKeys, encodeKeys, encodeRoleKeys } from './tuf-keys.ts'
import type { KeyContext } from './tuf-keys.ts'

/** The version of the specification that files name which we write. */
export const SPEC_VERSION = '1.0.34'

export function decodeBody<T extends TopRole>(type: T, body: JsonObject, context: KeyContext): MetadataOf<T> {
  const got = stringIn(body, '_type', type)
  if (got !== type) throw malformed(`${type}._type`, got, type)
  const decode: (body: JsonObject, context: KeyContext) => MetadataOf<T> = DECODERS[type]
  return decode(body, context)
}

export function encodeBody(body: Metadata): JsonObject {
  const known = {
    _type: body.type,
    ...encodeOwn(body),
    expires: body.expiresText,
    spec_version: body.specVersion ?? SPEC_VERSION,
    version: body.version,
  }
  return build(known, body.unknown)
}

const DECODERS: { readonly [T in TopRole]: (body: JsonObject, context: KeyContext) => MetadataOf<T> } = {
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
      return { meta: build({ 'snapshot.json': encodeFileMeta(body.snapshot) }) }
    case 'snapshot':
      return { meta: buildFrom(new Map(fileNames(body.meta)), encodeFileMeta) }
    case 'targets':
      return {
        targets: buildFrom(body.targets, encodeTarget),
        delegations: body.delegations && encodeDelegations(body.delegations),
      }
  }
}

const COMMON = ['_type', 'spec_version', 'version', 'expires']

function decodeCommon(body: JsonObject, type: TopRole, known: readonly string[]) {
  const specVersion = stringIn(body, 'spec_version', type)
  if (!/^1\.\d{1,9}(?:\.\d{1,9})?$/.test(specVersion)) throw malformed(`${type}.spec_version`, specVersion, 'version 1')
  return {
    specVersion,
    version: brandIn(version, body, 'version', type),
    expires: dateIn(body, 'expires', type),
    expiresText: stringIn(body, 'expires', type),
    unknown: unknownIn(body, [...COMMON, ...known]),
  }
}

function decodeRoot(body: JsonObject, context: KeyContext): Root {
  return {
    type: 'root',
    ...decodeCommon(body, 'root', ['consistent_snapshot', 'keys', 'roles']),
    // Absent means false (4.3).
    consistentSnapshot:
      member(body, 'consistent_snapshot') !== undefined && booleanIn(body, 'consistent_snapshot', 'root'),
    keys: decodeKeys(body, 'root', context),
    roles: decodeRootRoles(objectIn(body, 'roles', 'root')),
  }
}

const TOP_LEVEL = ['root', 'timestamp', 'snapshot', 'targets'] as const

/** All four, and perhaps others, which mean nothing here. */
function decodeRootRoles(object: JsonObject): ReadonlyMap<RoleName, RoleKeys> {
  for (const name of TOP_LEVEL) objectIn(object, name, 'root.roles')
  const roles = new Map<RoleName, RoleKeys>()
  for (const [name, value] of members(object)) {
    const place = `root.roles.${name}`
    roles.set(brandOf(roleName, name, place), decodeRoleKeys(objectOf(value, place), place))
  }
  return roles
}

function decodeTimestamp(body: JsonObject): Timestamp {
  const meta = objectIn(body, 'meta', 'timestamp')
  const snapshot = objectIn(meta, 'snapshot.json', 'timestamp.meta')
  if (members(meta).length !== 1) throw malformed('timestamp.meta', meta, 'snapshot.json alone')
  return {
    type: 'timestamp',
    ...decodeCommon(body, 'timestamp', ['meta']),
    snapshot: decodeFileMeta(snapshot, 'timestamp.meta.snapshot.json'),
  }
}

function decodeSnapshot(body: JsonObject): Snapshot {
  const meta = new Map<RoleName, FileMeta>()
  for (const [name, value] of members(objectIn(body, 'meta', 'snapshot'))) {
    const place = `snapshot.meta.${name}`
    if (!name.endsWith(SUFFIX)) throw malformed(place, name, 'a name ending in .json')
    const role = brandOf(roleName, name.slice(0, -SUFFIX.length), place)
    meta.set(role, decodeFileMeta(objectOf(value, place), place))
  }
  return { type: 'snapshot', ...decodeCommon(body, 'snapshot', ['meta']), meta }
}

const SUFFIX = '.json'

function* fileNames(meta: Snapshot['meta']): Generator<readonly [string, FileMeta]> {
  for (const [role, file] of meta) yield [`${role}${SUFFIX}`, file]
}

function decodeTargets(body: JsonObject, context: KeyContext): Targets {
  const targets = new Map<string, TargetFile>()
  const listed = objectIn(body, 'targets', 'targets')
  for (const path of Object.keys(listed)) targets.set(path, decodeTarget(listed, path))
  const common = decodeCommon(body, 'targets', ['targets', 'delegations'])
  if (member(body, 'delegations') === undefined) return { type: 'targets', ...common, targets }
  const delegations = objectIn(body, 'delegations', 'targets')
  const decoded = decodeDelegations(delegations, 'targets.delegations', context)
  return { type: 'targets', ...common, targets, delegations: decoded }
}

function decodeTarget(listed: JsonObject, path: string): TargetFile {
  const target = objectIn(listed, path, 'targets.targets')
  const place = `targets.targets.${path}`
  const common = {
    length: lengthIn(target, 'length', place),
    hashes: decodeHashes(target, place),
    unknown: unknownIn(target, ['length', 'hashes', 'custom']),
  }
  const custom = member(target, 'custom')
  return custom === undefined ? common : { ...common, custom }
}

function encodeTarget({ length, hashes, custom, unknown }: TargetFile): JsonObject {
  return build({ custom, hashes: encodeHashes(hashes), length }, unknown)
}

function decodeFileMeta(meta: JsonObject, place: string): FileMeta {
  return {
    version: brandIn(version, meta, 'version', place),
    ...(member(meta, 'length') === undefined ? {} : { length: lengthIn(meta, 'length', place) }),
    ...(member(meta, 'hashes') === undefined ? {} : { hashes: decodeHashes(meta, place) }),
    unknown: unknownIn(meta, ['version', 'length', 'hashes']),
  }
}

function encodeFileMeta({ version, length, hashes, unknown }: FileMeta): JsonObject {
  return build({ version, length, hashes: hashes && encodeHashes(hashes) }, unknown)
}

/** At least one, each in lower-case hex. A hash whose name nobody knows is kept: a checker passes over it. */
function decodeHashes(parent: JsonObject, place: string): Hashes {
  const hashes = new Map<string, string>()
  for (const [name, digest] of members(objectIn(parent, 'hashes', place))) {
    if (typeof digest !== 'string' || !/^[0-9a-f]+$/.test(digest)) {
      throw malformed(`${place}.hashes.${name}`, digest, 'lower-case hex')
    }
    hashes.set(name, digest)
  }
  if (hashes.size === 0) throw new TrustError('MALFORMED', { what: `${place}.hashes`, got: 'no hash at all' })
  return hashes
}

function encodeHashes(hashes: Hashes): JsonObject {
  return buildFrom(hashes, (digest) => digest)
}
