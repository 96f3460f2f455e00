/** What a targets role delegates, as TUF 1.0 and TAP 15 write it (specification 4.5). */
import { roleName } from '../model/ids.ts'
import { member } from '../model/json.ts'
import type { JsonObject } from '../model/json.ts'
import type { DelegatedRole, Delegations, Scope, SuccinctRoles } from '../model/metadata.ts'
import {
  booleanIn,
  brandIn,
  build,
  integerIn,
  listIn,
  malformed,
  objectIn,
  objectOf,
  stringIn,
  stringsIn,
  unknownIn,
} from './fields.ts'
import { decodeKeys, decodeRoleKeys, encodeKeys, encodeRoleKeys } from './tuf-keys.ts'
import type { KeyContext } from './tuf-keys.ts'

export function decodeDelegations(delegations: JsonObject, place: string, context: KeyContext): Delegations {
  const succinct = member(delegations, 'succinct_roles') !== undefined
  if (succinct === (member(delegations, 'roles') !== undefined)) {
    throw malformed(place, delegations, 'either roles or succinct_roles')
  }
  return {
    keys: decodeKeys(delegations, place, context),
    roles: succinct ? [] : decodeRoles(delegations, place),
    ...(succinct ? { succinct: decodeSuccinct(delegations, place) } : {}),
    unknown: unknownIn(delegations, ['keys', 'roles', 'succinct_roles']),
  }
}

export function encodeDelegations({ keys, roles, succinct, unknown }: Delegations): JsonObject {
  const listed =
    succinct === undefined ? { roles: roles.map(encodeRole) } : { succinct_roles: encodeSuccinct(succinct) }
  return build({ keys: encodeKeys(keys), ...listed }, unknown)
}

function decodeRoles(delegations: JsonObject, parent: string): readonly DelegatedRole[] {
  const seen = new Set<string>()
  return listIn(delegations, 'roles', parent).map((each, i) => {
    const place = `${parent}.roles[${i}]`
    const role = decodeRole(objectOf(each, place), place)
    if (seen.has(role.name)) throw malformed(`${place}.name`, role.name, 'a name not yet used')
    seen.add(role.name)
    return role
  })
}

/** A delegation may not speak for a top-level role, whatever it is signed with. */
const TOP_LEVEL: ReadonlySet<string> = new Set(['root', 'timestamp', 'snapshot', 'targets'])

function decodeRole(role: JsonObject, place: string): DelegatedRole {
  const name = brandIn(roleName, role, 'name', place)
  if (TOP_LEVEL.has(name)) throw malformed(`${place}.name`, name, 'a name that is no top-level role')
  return {
    ...decodeRoleKeys(role, place, ['name', 'paths', 'path_hash_prefixes', 'terminating']),
    name,
    scope: decodeScope(role, place),
    terminating: booleanIn(role, 'terminating', place),
  }
}

function encodeRole(role: DelegatedRole): JsonObject {
  const { name, scope, terminating } = role
  return encodeRoleKeys(role, { name, terminating, ...encodeScope(scope, name) })
}

function encodeScope(scope: Scope, name: string): JsonObject {
  switch (scope.kind) {
    case 'paths':
      return { paths: scope.paths }
    case 'hash-prefixes':
      return { path_hash_prefixes: scope.prefixes }
    case 'path-prefixes':
      throw malformed(`targets.delegations.${name}`, scope.kind, 'patterns or hash prefixes')
  }
}

function decodeScope(role: JsonObject, place: string): Scope {
  const byPath = member(role, 'paths') !== undefined
  if (byPath === (member(role, 'path_hash_prefixes') !== undefined)) {
    throw malformed(place, role, 'either paths or path_hash_prefixes')
  }
  if (byPath) return { kind: 'paths', paths: stringsIn(role, 'paths', place) }
  return { kind: 'hash-prefixes', prefixes: stringsIn(role, 'path_hash_prefixes', place) }
}

function decodeSuccinct(delegations: JsonObject, parent: string): SuccinctRoles {
  const place = `${parent}.succinct_roles`
  const succinct = objectIn(delegations, 'succinct_roles', parent)
  const namePrefix = stringIn(succinct, 'name_prefix', place)
  if (namePrefix.length > LONGEST_PREFIX) throw malformed(`${place}.name_prefix`, namePrefix, 'a shorter name')
  return {
    ...decodeRoleKeys(succinct, place, ['bit_length', 'name_prefix']),
    bitLength: integerIn(succinct, 'bit_length', place, 1, 32),
    namePrefix,
  }
}

/** So that the name of every bin, up to nine characters longer, is a role name. */
const LONGEST_PREFIX = 500

function encodeSuccinct(succinct: SuccinctRoles): JsonObject {
  return encodeRoleKeys(succinct, { bit_length: succinct.bitLength, name_prefix: succinct.namePrefix })
}
