import { TrustError } from '../errors.ts'
import { TARGETS } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import type { TargetFile, Targets, Verified } from '../model/metadata.ts'
import { delegatesFor } from './delegations.ts'
import type { AfterTargets } from './states.ts'

/** A role whose file the search needs next: accept it by this delegator's keys, then hand it in. */
export type Wanted = { readonly role: RoleName; readonly delegator: Verified<Targets> }

/** Where a target was found. */
export type Found = { readonly path: string; readonly target: TargetFile; readonly role: RoleName }

/**
 * The pre-order search for one target (5.6.7). Yields each delegated role it wants, in order, and is handed that
 * role's verified file; returns where the target is listed first, or undefined.
 *
 * A role is asked once, so that cycles end. When the file of a wanted role cannot be had or trusted, the caller stops:
 * going on with the next role would let whoever withholds one file choose another's answer.
 */
export function* search(trust: AfterTargets, path: string): Generator<Wanted, Found | undefined, Verified<Targets>> {
  const visited = new Set<string>([TARGETS])
  const first = trust.targets.targets.get(path)
  if (first !== undefined) return { path, target: first, role: TARGETS }
  let toVisit: Wanted[] = wantedFrom(trust, trust.targets, path, []) // the last one is next
  for (let next = toVisit.pop(); next !== undefined; next = toVisit.pop()) {
    if (visited.has(next.role)) continue
    if (visited.size > trust.limits.delegatedRoles) {
      throw new TrustError('TOO_MANY_ROLES', { target: path, limit: trust.limits.delegatedRoles })
    }
    visited.add(next.role)
    const file = yield next
    const target = file.targets.get(path)
    if (target !== undefined) return { path, target, role: next.role }
    toVisit = wantedFrom(trust, file, path, toVisit)
  }
  return undefined
}

/** The delegator's own delegates come before what was still waiting; after a terminating one nothing else does. */
function wantedFrom(
  trust: AfterTargets,
  delegator: Verified<Targets>,
  path: string,
  waiting: readonly Wanted[],
): Wanted[] {
  const delegates = delegatesFor(delegator, path, trust.suite)
  const own = delegates.map(({ role }) => ({ role, delegator })).toReversed()
  return delegates.at(-1)?.terminating === true ? own : [...waiting, ...own]
}
