/** What a targets role delegates, as Notary v1 writes it. */
import { roleName } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import { member } from '../model/json.ts'
import type { Json, JsonObject } from '../model/json.ts'
import type { DelegatedRole, Delegations } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import { brandIn, build, malformed, objectOf } from './fields.ts'
import { decodeKeys, decodeRoleKeys, encodeKeys, encodeRoleKeys } from './notary-keys.ts'
import { listOrNull, strangersIn, unlessNull, withNull } from './notary-fields.ts'

/** undefined where nothing is delegated, which Notary says with two empty members. */
export function decodeDelegations(object: JsonObject, place: string, suite: Suite): Delegations | undefined {
  const unknown = strangersIn(object, ['keys', 'roles'], place)
  const delegations = {
    keys: decodeKeys(object, place, suite),
    roles: decodeRoles(object, place),
    unknown: withNull(object, 'roles', unknown),
  }
  const { keys, roles } = delegations
  return keys.size === 0 && roles.length === 0 && delegations.unknown.size === 0 ? undefined : delegations
}

export function encodeDelegations({ keys, roles, succinct, unknown }: Delegations): JsonObject {
  if (succinct !== undefined) throw malformed('targets.delegations', succinct.namePrefix, 'no hash bins')
  return build({ keys: encodeKeys(keys), roles: unlessNull(roles.map(encodeRole), 'roles', unknown) }, unknown)
}

/**
 * The name of a delegated role: below `targets`, lower-case, in clean segments. It is a path in URLs and in folders, so
 * no other name gets into the model. Throws MALFORMED.
 */
export function delegationName(value: unknown): RoleName {
  const name = roleName(value)
  if (name.length < 256 && /^targets(?:\/[-a-z0-9_]+)+$/.test(name)) return name
  throw malformed('role name', name.slice(0, 80), 'a name below targets/')
}

function decodeRoles(object: JsonObject, parent: string): readonly DelegatedRole[] {
  const seen = new Set<string>()
  return listOrNull(object, 'roles', parent).map((each, i) => {
    const place = `${parent}.roles[${i}]`
    const role = decodeRole(objectOf(each, place), place)
    if (seen.has(role.name)) throw malformed(`${place}.name`, role.name, 'a name not yet used')
    seen.add(role.name)
    return role
  })
}

function decodeRole(role: JsonObject, place: string): DelegatedRole {
  return {
    ...decodeRoleKeys(role, place, ['name', 'paths']),
    name: brandIn(delegationName, role, 'name', place),
    scope: { kind: 'path-prefixes', prefixes: decodePaths(role, place) },
    terminating: false,
  }
}

/** Absent where there are none, and then the role may sign nothing. */
function decodePaths(role: JsonObject, place: string): readonly string[] {
  const paths = member(role, 'paths') === undefined ? [] : listOrNull(role, 'paths', place)
  return paths.map((path, i) => textOf(path, `${place}.paths[${i}]`))
}

function textOf(value: Json, place: string): string {
  if (typeof value !== 'string') throw malformed(place, value, 'a string')
  return value
}

function encodeRole(role: DelegatedRole): JsonObject {
  const { scope, terminating } = role
  if (scope.kind !== 'path-prefixes' || terminating) {
    throw malformed(`targets.delegations.${role.name}`, scope.kind, 'path prefixes, not terminating')
  }
  const paths = scope.prefixes.length === 0 ? undefined : scope.prefixes
  return encodeRoleKeys(role, { name: delegationName(role.name), paths })
}
