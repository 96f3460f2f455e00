import type { SearchOrder } from '../codec/codec.ts'
import { TrustError } from '../errors.ts'
import { TARGETS } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import type { DelegatedRole, Scope, TargetFile, Targets, Verified } from '../model/metadata.ts'
import { delegatesFor, listedRoles, narrowed } from './delegations.ts'
import type { AfterTargets } from './states.ts'

/** A role whose file the search needs next: accept it by this delegator's keys, then hand it in. */
export type Wanted = { readonly role: RoleName; readonly delegator: Verified<Targets> }

/** Where a target was found. */
export type Found = { readonly path: string; readonly target: TargetFile; readonly role: RoleName }

/** A role that the walk meets. One that does not speak is only on the way to one that does. */
export type Speaker = {
  readonly role: RoleName
  /** undefined for targets itself, whose file is known. */
  readonly delegator?: Verified<Targets>
  readonly speaks: boolean
}

/**
 * The search for one target, in the order of the dialect (5.6.7) or another. Yields each delegated role it wants, and
 * is handed that role's verified file; returns where the target is listed first, or undefined.
 *
 * When the file of a wanted role cannot be had or trusted, the caller stops: going on with the next role would let
 * whoever withholds one file choose another's answer.
 */
export function* search(
  trust: AfterTargets,
  path: string,
  order: SearchOrder = trust.codec.search,
): Generator<Wanted, Found | undefined, Verified<Targets>> {
  const roles = speakers(trust, path, order)
  for (let step = roles.next(); step.done !== true; ) {
    const { role, delegator, speaks } = step.value
    const file = delegator === undefined ? trust.targets : yield { role, delegator }
    const target = speaks ? file.targets.get(path) : undefined
    if (target !== undefined) return order.counted?.has(role) === false ? undefined : { path, target, role }
    step = roles.next(file)
  }
  return undefined
}

/**
 * Every role that is trusted for a target, in order; each one's file is to be handed in before the next. A role speaks
 * once, so that cycles end.
 */
export function* speakers(
  trust: AfterTargets,
  path: string,
  { walk, starts }: SearchOrder = trust.codec.search,
): Generator<Speaker, void, Verified<Targets>> {
  const spoken = new Set<RoleName>()
  for (const start of starts) {
    let waiting: Waiting[] = [{ role: TARGETS }]
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const speaks = !isAbove(next.role, start)
      if (speaks && spoken.has(next.role)) continue
      if (speaks) spoken.add(next.role)
      refuseTooMany(trust, spoken, path)
      const file = yield { ...next, speaks }
      const below = waitingBelow(trust, next, file, path).filter(({ role }) => speaks || leadsTo(role, start))
      waiting = joined(walk, below, waiting)
    }
  }
}

/** The roles that somebody may hear by this file, each for no more than its delegator has a say in. */
export function heardRoles(
  { codec, snapshot }: AfterTargets,
  delegator: RoleName,
  file: Targets,
  within?: Scope,
): readonly DelegatedRole[] {
  const roles = listedRoles(file).filter((role) => codec.isSilent?.(delegator, role, snapshot) !== true)
  return within === undefined ? roles : roles.map((role) => ({ ...role, scope: narrowed(role.scope, within) }))
}

type Waiting = {
  readonly role: RoleName
  readonly delegator?: Verified<Targets>
  readonly terminating?: boolean
  readonly within?: Scope
}

function waitingBelow(trust: AfterTargets, asked: Waiting, file: Verified<Targets>, path: string): Waiting[] {
  const { delegations } = file
  if (delegations === undefined) return []
  const roles = heardRoles(trust, asked.role, file, asked.within)
  const scopes = new Map(roles.map(({ name, scope }) => [name, scope]))
  return delegatesFor({ delegations: { ...delegations, roles } }, path, trust.suite).map((delegate) => {
    const within = scopes.get(delegate.role)
    return { ...delegate, delegator: file, ...(within === undefined ? {} : { within }) }
  })
}

/** A delegator's own delegates come before what was still waiting, or after; after a terminating one nothing else does. */
function joined(walk: SearchOrder['walk'], own: readonly Waiting[], waiting: readonly Waiting[]): Waiting[] {
  if (walk === 'breadth-first') return [...waiting, ...own]
  return own.at(-1)?.terminating === true ? [...own] : [...own, ...waiting]
}

function leadsTo(role: RoleName, start: RoleName): boolean {
  return role === start || isAbove(role, start)
}

function isAbove(role: RoleName, start: RoleName): boolean {
  return start.startsWith(`${role}/`)
}

function refuseTooMany({ limits }: AfterTargets, spoken: ReadonlySet<RoleName>, path: string): void {
  const delegated = spoken.size - (spoken.has(TARGETS) ? 1 : 0)
  if (delegated <= limits.delegatedRoles) return
  throw new TrustError('TOO_MANY_ROLES', { target: path, limit: limits.delegatedRoles })
}
