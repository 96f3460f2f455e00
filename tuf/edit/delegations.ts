import { TrustError } from '../errors.ts'
import type { RoleName } from '../model/ids.ts'
import type { DelegatedRole, Delegations, Scope, SuccinctRoles, Unknown } from '../model/metadata.ts'
import { roleKeys, usedKeys } from './roles.ts'
import type { KeySet } from './roles.ts'

export type NewDelegation = KeySet & {
  readonly name: RoleName
  readonly scope: Scope
  readonly terminating: boolean
  /** Further members of its entry; where it does not say, those that it had. */
  readonly unknown?: Unknown
}

const NONE: Delegations = { keys: new Map(), roles: [], unknown: new Map() }

/**
 * With this role delegated, in its old place if it had one, else before the role named `before`, else last.
 * The order is the order of the search. Throws MALFORMED where there are succinct bins: they leave room for no other role.
 */
export function withDelegation(delegations: Delegations = NONE, added: NewDelegation, before?: RoleName): Delegations {
  if (delegations.succinct !== undefined) {
    throw new TrustError('MALFORMED', { what: 'delegations', got: `the role ${added.name} beside hash bins` })
  }
  const roles = [...delegations.roles]
  const old = roles.findIndex(({ name }) => name === added.name)
  const role: DelegatedRole = {
    ...roleKeys(added, added.unknown ?? roles[old]?.unknown),
    name: added.name,
    scope: added.scope,
    terminating: added.terminating,
  }
  const place = old >= 0 ? old : roles.findIndex(({ name }) => name === before)
  roles.splice(place >= 0 ? place : roles.length, old >= 0 ? 1 : 0, role)
  const keys = new Map(delegations.keys)
  for (const key of added.keys) keys.set(key.id, key)
  return { ...delegations, roles, keys: usedKeys(roles, keys) }
}

/** Without this role; keys that no other role uses leave with it. */
export function withoutDelegation(delegations: Delegations, name: RoleName): Delegations {
  const roles = delegations.roles.filter((role) => role.name !== name)
  const { succinct } = delegations
  const users = succinct === undefined ? roles : [...roles, succinct]
  return { ...delegations, roles, keys: usedKeys(users, delegations.keys) }
}

/**
 * With the roles that are named in the order in which they are named, which is the order of the search. One that is not
 * named stays in front of the same role as before, or at the end.
 */
export function inOrder(delegations: Delegations, names: readonly string[]): Delegations {
  const places = new Map(names.map((name, i) => [name, i]))
  let place = names.length
  const placed = delegations.roles.toReversed().map((role) => {
    place = places.get(role.name) ?? place
    return { role, place }
  })
  const roles = placed.toReversed().toSorted((a, b) => a.place - b.place)
  return { ...delegations, roles: roles.map(({ role }) => role) }
}

/** Without hash bins; keys that no role uses leave with them. */
export function withoutBins({ succinct: _, ...delegations }: Delegations): Delegations {
  return { ...delegations, keys: usedKeys(delegations.roles, delegations.keys) }
}

/** Succinct hash bins (TAP 15) under one key set, in place of any other delegation. */
export function succinctBins(set: KeySet, bitLength: number, namePrefix: string): Delegations {
  const succinct: SuccinctRoles = { ...roleKeys(set), bitLength, namePrefix }
  return { keys: new Map(set.keys.map((key) => [key.id, key])), roles: [], succinct, unknown: new Map() }
}
