/** Delegations as records of servers write them: keys in full and no key ids. */
import type { Delegations, RoleKeys, Scope } from '../../tuf/index.ts'
import type { DelegationEntry } from '../server-api.ts'

/** How a file has a role, or its hash bins, below it; undefined where it does not. */
export function entryIn(delegations: Delegations | undefined, name: string): DelegationEntry | undefined {
  if (delegations === undefined) return undefined
  const { succinct } = delegations
  if (succinct !== undefined && name === `${succinct.namePrefix}-*`) {
    const scope = { kind: 'bins', patterns: [`${succinct.namePrefix}-${succinct.bitLength}`] }
    return { keys: keysIn(delegations, succinct), threshold: succinct.threshold, scope, terminating: true }
  }
  const role = delegations.roles.find((each) => each.name === name)
  if (role === undefined) return undefined
  const { threshold, scope, terminating } = role
  const keys = keysIn(delegations, role)
  return { keys, threshold, scope: { kind: scope.kind, patterns: patternsOf(scope) }, terminating }
}

function keysIn({ keys }: Delegations, { keyids }: RoleKeys): DelegationEntry['keys'] {
  const listed = keyids.flatMap((id) => keys.get(id) ?? [])
  return listed.map(({ keytype, scheme, public: text }) => ({ keytype, scheme, public: text }))
}

/** Which tags a role may sign, as it is written. */
export function patternsOf(scope: Scope): readonly string[] {
  return scope.kind === 'paths' ? scope.paths : scope.prefixes
}
