import {
  authorityOf,
  binNames,
  delegatedAuthority,
  delegatesFor,
  isTrustError,
  listedRoles,
  TARGETS,
  TrustError,
} from '../../tuf/index.ts'
import { narrowed } from '../../tuf/verify/delegations.ts'
import type { Authority, DelegatedRole, RoleName, Scope, Targets, Verified } from '../../tuf/index.ts'
import type { View } from '../trust/repository.ts'

/** What a repository is at one moment: what a change is made on top of. */
export type Standing = View

/** A role that holds tags, by the word of whoever delegates to it. */
export type HoldingRole = {
  readonly name: RoleName
  readonly authority: Authority
  /** undefined for a delegated role that its keys have not signed: never, or not since they were replaced. */
  readonly file: Verified<Targets> | undefined
  /** Of the file that the snapshot lists; 0 for a role that was never published. */
  readonly version: number
}

/** More hash bins than that are nothing to list. */
const MOST_BITS = 12

/**
 * Every role that may speak for a tag, in the order in which clients ask them (5.6.7), also those that have not
 * published yet.
 */
export async function rolesFor(standing: Standing, tag: string): Promise<readonly HoldingRole[]> {
  const met = await walk(standing, ({ role, within }, file) => {
    const { delegations } = file
    if (delegations === undefined) return NOBODY
    const roles = scopesBelow(standing, role, file, within)
    const delegates = delegatesFor({ delegations: { ...delegations, roles } }, tag, standing.suite)
    const scopes = new Map(roles.map(({ name, scope }) => [name, scope]))
    const below = delegates.map((delegate) => ({ role: delegate.role, within: scopes.get(delegate.role) }))
    return { roles: below, terminates: delegates.at(-1)?.terminating === true }
  })
  return inOrder(met, standing.codec.search.starts)
}

/** Every role below targets, targets first: the named ones and, of hash bins, all that were published. */
export async function allRoles(standing: Standing): Promise<readonly HoldingRole[]> {
  return await walk(standing, (_, { delegations }) => {
    const succinct = delegations?.succinct
    if (succinct === undefined) return { roles: (delegations?.roles ?? []).map(plain), terminates: false }
    refuseTooMany(succinct.bitLength)
    const published = binNames(succinct).filter((name) => standing.snapshot.meta.has(name))
    return { roles: published.map((name) => plain({ name })), terminates: false }
  })
}

/** The same without hash bins, of which there may be thousands. */
export async function namedRoles(standing: Standing): Promise<readonly HoldingRole[]> {
  return await walk(standing, (_, file) => ({ roles: listedRoles(file).map(plain), terminates: false }))
}

/** Whether clients take this role's word for a tag, where they find it there first. */
export function counts({ codec }: Standing, { name }: Pick<HoldingRole, 'name'>): boolean {
  return codec.search.counted?.has(name) !== false
}

function refuseTooMany(bitLength: number): void {
  if (bitLength <= MOST_BITS) return
  throw new TrustError('TOO_MANY_ROLES', { target: 'hash bins', limit: 2 ** MOST_BITS })
}

type Delegate = { readonly role: RoleName; readonly within: Scope | undefined }
type Delegates = { readonly roles: readonly Delegate[]; readonly terminates: boolean }
type Waiting = Delegate & { readonly delegator: Verified<Targets> }

const NOBODY: Delegates = { roles: [], terminates: false }

function plain({ name }: { readonly name: RoleName }): Delegate {
  return { role: name, within: undefined }
}

/** What a client would hear of these roles once each of them has published. */
function scopesBelow(
  { codec }: Standing,
  delegator: RoleName,
  file: Targets,
  within: Scope | undefined,
): readonly DelegatedRole[] {
  const heard = listedRoles(file).filter((role) => {
    const published = { meta: new Map([[role.name, { unknown: new Map() }]]) }
    return codec.isSilent?.(delegator, role, published) !== true
  })
  return within === undefined ? heard : heard.map((role) => ({ ...role, scope: narrowed(role.scope, within) }))
}

async function walk(
  standing: Standing,
  delegatesOf: (asked: Delegate, file: Targets) => Delegates,
): Promise<readonly HoldingRole[]> {
  const { root, targets, codec } = standing
  const found: HoldingRole[] = [
    { name: TARGETS, authority: authorityOf(root, TARGETS), file: targets, version: targets.version },
  ]
  const visited = new Set<string>([TARGETS])
  let waiting = joined(codec.search.walk, targets, delegatesOf(plain({ name: TARGETS }), targets), [])
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    if (visited.has(next.role)) continue
    visited.add(next.role)
    const role = await roleOf(standing, next)
    found.push(role)
    if (role.file !== undefined) waiting = joined(codec.search.walk, role.file, delegatesOf(next, role.file), waiting)
  }
  return found
}

/** A terminating delegation ends everything that was still to come. */
function joined(
  order: 'depth-first' | 'breadth-first',
  delegator: Verified<Targets>,
  { roles, terminates }: Delegates,
  waiting: readonly Waiting[],
): Waiting[] {
  const own = roles.map((role) => ({ ...role, delegator }))
  if (order === 'breadth-first') return [...waiting, ...own]
  return terminates ? own : [...own, ...waiting]
}

/** Each start with all that is below it, one start after another. */
function inOrder(roles: readonly HoldingRole[], starts: readonly RoleName[]): readonly HoldingRole[] {
  const isFrom = (start: RoleName, name: RoleName) =>
    start === TARGETS || name === start || name.startsWith(`${start}/`)
  return [...new Set(starts.flatMap((start) => roles.filter(({ name }) => isFrom(start, name))))]
}

/** The roles that were found so in a standing: for each of a thousand tags they would be fetched once more. */
const UNSIGNED = new WeakMap<Standing, Map<RoleName, number>>()

async function roleOf(standing: Standing, { role, delegator }: Waiting): Promise<HoldingRole> {
  const authority = delegatedAuthority(delegator, role)
  const unsigned = UNSIGNED.get(standing) ?? new Map<RoleName, number>()
  const known = standing.snapshot.meta.has(role) ? unsigned.get(role) : 0
  if (known !== undefined) return { name: role, authority, file: undefined, version: known }
  try {
    const { file } = await standing.get({ role, delegator })
    return { name: role, authority, file, version: file.version }
  } catch (error) {
    // Its keys were replaced by its delegator alone: what they say begins anew.
    if (!isTrustError(error) || error.code !== 'THRESHOLD') throw error
    const version = await standing.listedVersion(role)
    UNSIGNED.set(standing, unsigned.set(role, version))
    return { name: role, authority, file: undefined, version }
  }
}
