import { TrustError } from '../errors.ts'
import { roleName } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import type { DelegatedRole, RoleKeys, Scope, SuccinctRoles, Targets } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import { encodeText } from '../codec/json.ts'
import { matchesPath } from './glob.ts'

/** A role that a delegator trusts for a target, in the order of the search. */
export type Delegate = { readonly role: RoleName; readonly terminating: boolean }

/** The roles to ask about a target, up to and including the first terminating one (5.6.7.2). */
export function delegatesFor(
  { delegations }: Pick<Targets, 'delegations'>,
  path: string,
  suite: Suite,
): readonly Delegate[] {
  if (delegations === undefined) return []
  const { succinct } = delegations
  // Bins are taken as terminating, as every implementation of TAP 15 does: no later role could hold the target.
  if (succinct !== undefined) return [{ role: binFor(succinct, path, suite), terminating: true }]
  const delegates: Delegate[] = []
  for (const { name, scope, terminating } of delegations.roles) {
    if (!inScope(scope, path, suite)) continue
    delegates.push({ role: name, terminating })
    if (terminating) break
  }
  return delegates
}

/** The keys a delegator names for a role, be it listed or one of its bins. */
export function delegationTo({ delegations }: Targets, name: RoleName): RoleKeys | undefined {
  if (delegations === undefined) return undefined
  if (delegations.succinct !== undefined && isBinOf(delegations.succinct, name)) return delegations.succinct
  return delegations.roles.find((role) => role.name === name)
}

/** Whether a role is trusted for a target. An empty list of paths is trusted for none. */
export function inScope(scope: Scope, path: string, suite: Suite): boolean {
  if (scope.kind === 'paths') return scope.paths.some((pattern) => matchesPath(pattern, path))
  if (scope.kind === 'path-prefixes') return scope.prefixes.some((prefix) => path.startsWith(prefix))
  const digest = suite.hash('sha256', encodeText(path))
  return scope.prefixes.some((prefix) => prefix !== '' && digest.startsWith(prefix))
}

/** A role's say is never more than its delegator's: of plain prefixes, those that the delegator's own ones cover. */
export function narrowed(scope: Scope, within: Scope): Scope {
  if (scope.kind !== 'path-prefixes' || within.kind !== 'path-prefixes') return scope
  const isCovered = (prefix: string) => within.prefixes.some((outer) => prefix.startsWith(outer))
  return { ...scope, prefixes: scope.prefixes.filter(isCovered) }
}

/** TAP 15: the top bits of the path's sha256 number the bin. */
export function binFor(succinct: SuccinctRoles, path: string, suite: Suite): RoleName {
  const top = Number.parseInt(suite.hash('sha256', encodeText(path)).slice(0, 8), 16)
  return binName(succinct, Math.floor(top / 2 ** (32 - succinct.bitLength)))
}

/** All bins, in order. Throws MALFORMED above 2^16 of them, more than anybody could want to walk through. */
export function binNames(succinct: SuccinctRoles): readonly RoleName[] {
  if (succinct.bitLength > 16) {
    throw new TrustError('MALFORMED', { what: 'bit_length', got: `2^${succinct.bitLength} bins to be listed` })
  }
  return Array.from({ length: 2 ** succinct.bitLength }, (_, i) => binName(succinct, i))
}

function binName(succinct: SuccinctRoles, index: number): RoleName {
  return roleName(`${succinct.namePrefix}-${index.toString(16).padStart(suffixLength(succinct), '0')}`)
}

function isBinOf(succinct: SuccinctRoles, name: RoleName): boolean {
  const suffix = name.slice(succinct.namePrefix.length + 1)
  if (!name.startsWith(`${succinct.namePrefix}-`) || !/^[0-9a-f]+$/.test(suffix)) return false
  return suffix.length === suffixLength(succinct) && Number.parseInt(suffix, 16) < 2 ** succinct.bitLength
}

/** As many hex digits as the last bin's number needs. */
function suffixLength({ bitLength }: SuccinctRoles): number {
  return (2 ** bitLength - 1).toString(16).length
}

/** The roles a delegator lists by name: bins are not among them. */
export function listedRoles({ delegations }: Targets): readonly DelegatedRole[] {
  return delegations?.roles ?? []
}
