/**
 * The TUF 1.0 dialect: bytes to model and back (specification section 4).
 *
 * What is refused here can never become trusted: wrong types, key ids that are not their key's, role names listed
 * twice, both or neither kind of path. What is merely not understood is kept, for it was signed (ADR 0008).
 */
import { TrustError } from '../errors.ts'
import { keyId, roleName, threshold, version } from '../model/ids.ts'
import type { KeyId, RoleName } from '../model/ids.ts'
import { member, members } from '../model/json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type {
  DelegatedRole,
  Delegations,
  FileMeta,
  Hashes,
  Metadata,
  MetadataOf,
  PublicKey,
  RoleKeys,
  Root,
  Scope,
  Signature,
  Signed,
  Snapshot,
  SuccinctRoles,
  TargetFile,
  Targets,
  Timestamp,
  TopRole,
} from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import type { Codec, DecodeContext } from './codec.ts'
import { decodeDate, encodeDate } from './date.ts'
import {
  arrayOf,
  booleanOf,
  brandOf,
  build,
  buildFrom,
  lengthOf,
  malformed,
  objectOf,
  stringOf,
  stringsOf,
  unknownOf,
} from './fields.ts'
import { decodeHex, encodeHex } from './hex.ts'
import { decodeJson, decodeSigned, encodeCanonical, encodeText, encodeWire } from './json.ts'

export const SPEC_VERSION = '1.0.34'

export const tufCodec: Codec = {
  dialect: 'tuf-1.0',
  decode,
  encode: (body) => encodeCanonical(bodyTree(body)),
  assemble: (body, signatures) => envelope(bodyTree(body), signatures),
  resign(file, signatures, context) {
    const received = objectOf(decodeJson(file, { depth: context.limits.jsonDepth, what: 'metadata' }), 'metadata')
    const rest = unknownOf(received, ['signatures'])
    return encodeText(encodeWire(build({ signatures: signatures.map(signatureTree) }, rest)))
  },
  key: (fields, suite) => withId({ ...fields, unknown: new Map(), unknownKeyval: new Map() }, suite),
  date: encodeDate,
}

function decode<T extends TopRole>(type: T, bytes: Uint8Array, context: DecodeContext): Signed<MetadataOf<T>> {
  const read = decodeSigned(bytes, { depth: context.limits.jsonDepth, what: type })
  const file = objectOf(read.file, type)
  const signed = objectOf(member(file, 'signed'), `${type}: signed`)
  const got = stringOf(member(signed, '_type'), `${type}: _type`)
  if (got !== type) throw new TrustError('MALFORMED', { what: `${type}: _type`, got })
  const decodeBody: (body: JsonObject, context: DecodeContext) => MetadataOf<T> = BODIES[type]
  return {
    body: decodeBody(signed, context),
    payload: read.payload,
    signatures: decodeSignatures(member(file, 'signatures'), type, context),
    unknown: unknownOf(file, ['signed', 'signatures']),
  }
}

const BODIES: { readonly [T in TopRole]: (body: JsonObject, context: DecodeContext) => MetadataOf<T> } = {
  root: decodeRoot,
  timestamp: decodeTimestamp,
  snapshot: decodeSnapshot,
  targets: decodeTargets,
}

const COMMON = ['_type', 'spec_version', 'version', 'expires']

function decodeCommon(body: JsonObject, type: TopRole, known: readonly string[]) {
  const specVersion = stringOf(member(body, 'spec_version'), `${type}: spec_version`)
  if (!/^1\.\d{1,9}(?:\.\d{1,9})?$/.test(specVersion)) {
    throw new TrustError('MALFORMED', { what: `${type}: spec_version`, got: specVersion.slice(0, 40) })
  }
  const expiresText = stringOf(member(body, 'expires'), `${type}: expires`)
  return {
    specVersion,
    version: brandOf(version, member(body, 'version'), `${type}: version`),
    expires: decodeDate(expiresText, `${type}: expires`),
    expiresText,
    unknown: unknownOf(body, [...COMMON, ...known]),
  }
}

function decodeRoot(body: JsonObject, { suite }: DecodeContext): Root {
  const consistent = member(body, 'consistent_snapshot')
  const roles = new Map<RoleName, RoleKeys>()
  for (const [name, value] of members(objectOf(member(body, 'roles'), 'root: roles'))) {
    roles.set(roleName(name), decodeRoleKeys(objectOf(value, `root: roles.${name}`), `root: roles.${name}`, []))
  }
  for (const name of ['root', 'timestamp', 'snapshot', 'targets'].map(roleName)) {
    if (!roles.has(name)) throw malformed(`root: roles.${name}`, undefined, 'an object')
  }
  return {
    type: 'root',
    ...decodeCommon(body, 'root', ['consistent_snapshot', 'keys', 'roles']),
    consistentSnapshot: consistent === undefined ? false : booleanOf(consistent, 'root: consistent_snapshot'),
    keys: decodeKeys(member(body, 'keys'), 'root: keys', suite),
    roles,
  }
}

function decodeTimestamp(body: JsonObject): Timestamp {
  const meta = objectOf(member(body, 'meta'), 'timestamp: meta')
  const snapshot = objectOf(member(meta, 'snapshot.json'), 'timestamp: meta.snapshot.json')
  if (members(meta).length !== 1) throw malformed('timestamp: meta', meta, 'snapshot.json alone')
  return {
    type: 'timestamp',
    ...decodeCommon(body, 'timestamp', ['meta']),
    snapshot: decodeFileMeta(snapshot, 'timestamp: meta.snapshot.json'),
  }
}

function decodeSnapshot(body: JsonObject): Snapshot {
  const meta = new Map<RoleName, FileMeta>()
  for (const [name, value] of members(objectOf(member(body, 'meta'), 'snapshot: meta'))) {
    const what = `snapshot: meta.${name}`
    if (!name.endsWith('.json')) throw malformed(what, name, 'a name ending in .json')
    meta.set(brandOf(roleName, name.slice(0, -5), what), decodeFileMeta(objectOf(value, what), what))
  }
  return { type: 'snapshot', ...decodeCommon(body, 'snapshot', ['meta']), meta }
}

function decodeTargets(body: JsonObject, { suite }: DecodeContext): Targets {
  const targets = new Map<string, TargetFile>()
  for (const [path, value] of members(objectOf(member(body, 'targets'), 'targets: targets'))) {
    targets.set(path, decodeTarget(value, path))
  }
  const delegations = member(body, 'delegations')
  return {
    type: 'targets',
    ...decodeCommon(body, 'targets', ['targets', 'delegations']),
    targets,
    ...(delegations === undefined ? {} : { delegations: decodeDelegations(delegations, suite) }),
  }
}

function decodeTarget(value: Json, path: string): TargetFile {
  const what = `targets: ${path.slice(0, 80)}`
  const target = objectOf(value, what)
  const custom = member(target, 'custom')
  return {
    length: lengthOf(member(target, 'length'), `${what}.length`),
    hashes: decodeHashes(member(target, 'hashes'), what),
    ...(custom === undefined ? {} : { custom }),
    unknown: unknownOf(target, ['length', 'hashes', 'custom']),
  }
}

function decodeFileMeta(meta: JsonObject, what: string): FileMeta {
  const length = member(meta, 'length')
  const hashes = member(meta, 'hashes')
  return {
    version: brandOf(version, member(meta, 'version'), `${what}.version`),
    ...(length === undefined ? {} : { length: lengthOf(length, `${what}.length`) }),
    ...(hashes === undefined ? {} : { hashes: decodeHashes(hashes, what) }),
    unknown: unknownOf(meta, ['version', 'length', 'hashes']),
  }
}

/** At least one hash; each name's value is lower-case hex. A name nobody knows is kept: a checker skips it. */
function decodeHashes(value: Json | undefined, what: string): Hashes {
  const hashes = new Map<string, string>()
  for (const [name, hex] of members(objectOf(value, `${what}.hashes`))) {
    const digest = stringOf(hex, `${what}.hashes.${name}`)
    if (digest === '' || !/^[0-9a-f]+$/.test(digest)) throw malformed(`${what}.hashes.${name}`, hex, 'lower-case hex')
    hashes.set(name, digest)
  }
  if (hashes.size === 0) throw malformed(`${what}.hashes`, value, 'at least one hash')
  return hashes
}

function decodeDelegations(value: Json, suite: Suite): Delegations {
  const delegations = objectOf(value, 'delegations')
  const succinct = member(delegations, 'succinct_roles')
  const roles = member(delegations, 'roles')
  if ((succinct === undefined) === (roles === undefined)) {
    throw malformed('delegations', delegations, 'either roles or succinct_roles')
  }
  return {
    keys: decodeKeys(member(delegations, 'keys'), 'delegations.keys', suite),
    roles: roles === undefined ? [] : decodeRoles(roles),
    ...(succinct === undefined ? {} : { succinct: decodeSuccinct(succinct) }),
    unknown: unknownOf(delegations, ['keys', 'roles', 'succinct_roles']),
  }
}

function decodeRoles(value: Json): readonly DelegatedRole[] {
  const seen = new Set<string>()
  return arrayOf(value, 'delegations.roles').map((each, i) => {
    const what = `delegations.roles[${i}]`
    const role = decodeDelegatedRole(objectOf(each, what), what)
    if (seen.has(role.name)) throw malformed(`${what}.name`, role.name, 'a name not yet used')
    seen.add(role.name)
    return role
  })
}

/** A delegation may not speak for a top-level role, whatever it is signed with. */
const RESERVED: ReadonlySet<string> = new Set(['root', 'timestamp', 'snapshot', 'targets'])

function decodeDelegatedRole(role: JsonObject, what: string): DelegatedRole {
  const name = brandOf(roleName, member(role, 'name'), `${what}.name`)
  if (RESERVED.has(name)) throw malformed(`${what}.name`, name, 'a name that is no top-level role')
  return {
    ...decodeRoleKeys(role, what, ['name', 'paths', 'path_hash_prefixes', 'terminating']),
    name,
    scope: decodeScope(role, what),
    terminating: booleanOf(member(role, 'terminating'), `${what}.terminating`),
  }
}

function decodeScope(role: JsonObject, what: string): Scope {
  const paths = member(role, 'paths')
  const prefixes = member(role, 'path_hash_prefixes')
  if ((paths === undefined) === (prefixes === undefined)) {
    throw malformed(what, role, 'either paths or path_hash_prefixes')
  }
  if (paths !== undefined) return { kind: 'paths', paths: stringsOf(paths, `${what}.paths`) }
  return { kind: 'hash-prefixes', prefixes: stringsOf(prefixes, `${what}.path_hash_prefixes`) }
}

function decodeSuccinct(value: Json): SuccinctRoles {
  const what = 'delegations.succinct_roles'
  const succinct = objectOf(value, what)
  const bitLength = member(succinct, 'bit_length')
  if (typeof bitLength !== 'number' || !Number.isSafeInteger(bitLength) || bitLength < 1 || bitLength > 32) {
    throw malformed(`${what}.bit_length`, bitLength, '1 to 32')
  }
  return {
    ...decodeRoleKeys(succinct, what, ['bit_length', 'name_prefix']),
    bitLength,
    namePrefix: stringOf(member(succinct, 'name_prefix'), `${what}.name_prefix`),
  }
}

/** A key id repeated in the list is refused: it would read as more signers than there are. */
function decodeRoleKeys(role: JsonObject, what: string, known: readonly string[]): RoleKeys {
  const keyids = stringsOf(member(role, 'keyids'), `${what}.keyids`).map((id) => brandOf(keyId, id, `${what}.keyids`))
  if (new Set(keyids).size !== keyids.length) throw malformed(`${what}.keyids`, keyids, 'each key id once')
  return {
    keyids,
    threshold: brandOf(threshold, member(role, 'threshold'), `${what}.threshold`),
    unknown: unknownOf(role, ['keyids', 'threshold', ...known]),
  }
}

function decodeKeys(value: Json | undefined, what: string, suite: Suite): ReadonlyMap<KeyId, PublicKey> {
  const keys = new Map<KeyId, PublicKey>()
  for (const [id, each] of members(objectOf(value, what))) {
    const key = decodeKey(objectOf(each, `${what}.${id}`), `${what}.${id}`, suite)
    if (key.id !== id)
      throw new TrustError('MALFORMED', { what: `${what}.${id}`, got: `the key whose id is ${key.id}` })
    keys.set(key.id, key)
  }
  return keys
}

function decodeKey(key: JsonObject, what: string, suite: Suite): PublicKey {
  const keyval = objectOf(member(key, 'keyval'), `${what}.keyval`)
  const fields = {
    keytype: stringOf(member(key, 'keytype'), `${what}.keytype`),
    scheme: stringOf(member(key, 'scheme'), `${what}.scheme`),
    public: stringOf(member(keyval, 'public'), `${what}.keyval.public`),
    unknown: unknownOf(key, ['keytype', 'scheme', 'keyval']),
    unknownKeyval: unknownOf(keyval, ['public']),
  }
  return withId(fields, suite)
}

/** The id is computed, never believed: the sha256 of the canonical key object, unknown members included (4.2). */
function withId(key: Omit<PublicKey, 'id'>, suite: Suite): PublicKey {
  return { ...key, id: keyId(suite.hash('sha256', encodeCanonical(keyTree(key)))) }
}

function decodeSignatures(value: Json | undefined, type: TopRole, { limits }: DecodeContext): readonly Signature[] {
  const list = arrayOf(value, `${type}: signatures`)
  if (list.length > limits.signatures) {
    throw malformed(`${type}: signatures`, list, `at most ${limits.signatures} signatures`)
  }
  return list.map((each, i) =>
    decodeSignature(objectOf(each, `${type}: signatures[${i}]`), `${type}: signatures[${i}]`),
  )
}

/** Text that is no lower-case hex becomes no bytes at all: a place left free for a signer (`""`), or nonsense. */
function decodeSignature(signature: JsonObject, what: string): Signature {
  return {
    keyid: brandOf(keyId, member(signature, 'keyid'), `${what}.keyid`),
    sig: decodeHex(stringOf(member(signature, 'sig'), `${what}.sig`)) ?? new Uint8Array(),
    unknown: unknownOf(signature, ['keyid', 'sig']),
  }
}

function envelope(signed: JsonObject, signatures: readonly Signature[]): Uint8Array {
  return encodeText(encodeWire(build({ signed, signatures: signatures.map(signatureTree) }, new Map())))
}

function signatureTree({ keyid, sig, unknown }: Signature): JsonObject {
  return build({ keyid, sig: encodeHex(sig) }, unknown)
}

function bodyTree(body: Metadata): JsonObject {
  const known = {
    _type: body.type,
    spec_version: body.specVersion ?? SPEC_VERSION,
    version: body.version,
    expires: body.expiresText,
    ...ownTree(body),
  }
  return build(known, body.unknown)
}

function ownTree(body: Metadata): Readonly<Record<string, Json | undefined>> {
  switch (body.type) {
    case 'root':
      return {
        consistent_snapshot: body.consistentSnapshot,
        keys: keysTree(body.keys),
        roles: mapTree(body.roles, (role) => roleKeysTree(role, {})),
      }
    case 'timestamp':
      return { meta: buildFrom([['snapshot.json', fileMetaTree(body.snapshot)]]) }
    case 'snapshot':
      return { meta: buildFrom([...body.meta].map(([name, meta]) => [`${name}.json`, fileMetaTree(meta)] as const)) }
    case 'targets':
      return {
        targets: mapTree(body.targets, targetTree),
        delegations: body.delegations && delegationsTree(body.delegations),
      }
  }
}

function targetTree({ length, hashes, custom, unknown }: TargetFile): JsonObject {
  return build({ length, hashes: buildFrom(hashes), custom }, unknown)
}

function fileMetaTree({ version, length, hashes, unknown }: FileMeta): JsonObject {
  return build({ version, length, hashes: hashes && buildFrom(hashes) }, unknown)
}

function delegationsTree({ keys, roles, succinct, unknown }: Delegations): JsonObject {
  const listed =
    succinct === undefined ? { roles: roles.map(delegatedRoleTree) } : { succinct_roles: succinctTree(succinct) }
  return build({ keys: keysTree(keys), ...listed }, unknown)
}

function delegatedRoleTree(role: DelegatedRole): JsonObject {
  const { scope } = role
  const paths = scope.kind === 'paths' ? { paths: scope.paths } : { path_hash_prefixes: scope.prefixes }
  return roleKeysTree(role, { name: role.name, terminating: role.terminating, ...paths })
}

function succinctTree(succinct: SuccinctRoles): JsonObject {
  return roleKeysTree(succinct, { bit_length: succinct.bitLength, name_prefix: succinct.namePrefix })
}

function roleKeysTree({ keyids, threshold, unknown }: RoleKeys, more: Readonly<Record<string, Json>>): JsonObject {
  return build({ keyids, threshold, ...more }, unknown)
}

function keysTree(keys: ReadonlyMap<KeyId, PublicKey>): JsonObject {
  return mapTree(keys, keyTree)
}

function keyTree(key: Omit<PublicKey, 'id'>): JsonObject {
  const keyval = build({ public: key.public }, key.unknownKeyval)
  return build({ keytype: key.keytype, scheme: key.scheme, keyval }, key.unknown)
}

function mapTree<V>(map: ReadonlyMap<string, V>, tree: (value: V) => JsonObject): JsonObject {
  return buildFrom([...map].map(([name, value]) => [name, tree(value)] as const))
}
