import {
  authorityOf,
  binNames,
  delegatedAuthority,
  delegatesFor,
  isTrustError,
  TARGETS,
  TrustError,
} from '../../tuf/index.ts'
import type { Authority, RoleName, Targets, Verified } from '../../tuf/index.ts'
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

/** Every role that may speak for a tag, in the order in which a client asks them (5.6.7). */
export async function rolesFor(standing: Standing, tag: string): Promise<readonly HoldingRole[]> {
  return await walk(standing, (file) => {
    const delegates = delegatesFor(file, tag, standing.suite)
    return { roles: delegates.map(({ role }) => role), terminates: delegates.at(-1)?.terminating === true }
  })
}

/** Every role below targets, targets first: the named ones and, of hash bins, all that were published. */
export async function allRoles(standing: Standing): Promise<readonly HoldingRole[]> {
  return await walk(standing, ({ delegations }) => {
    const succinct = delegations?.succinct
    if (succinct === undefined) return { roles: delegations?.roles.map(({ name }) => name) ?? [], terminates: false }
    refuseTooMany(succinct.bitLength)
    return { roles: binNames(succinct).filter((name) => standing.snapshot.meta.has(name)), terminates: false }
  })
}

function refuseTooMany(bitLength: number): void {
  if (bitLength <= MOST_BITS) return
  throw new TrustError('TOO_MANY_ROLES', { target: 'hash bins', limit: 2 ** MOST_BITS })
}

type Delegates = { readonly roles: readonly RoleName[]; readonly terminates: boolean }
type Waiting = { readonly role: RoleName; readonly delegator: Verified<Targets> }

async function walk(standing: Standing, delegatesOf: (file: Targets) => Delegates): Promise<readonly HoldingRole[]> {
  const { root, targets } = standing
  const found: HoldingRole[] = [
    { name: TARGETS, authority: authorityOf(root, TARGETS), file: targets, version: targets.version },
  ]
  const visited = new Set<string>([TARGETS])
  let waiting = below(targets, delegatesOf(targets), [])
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (visited.has(next.role)) continue
    visited.add(next.role)
    const role = await roleOf(standing, next)
    found.push(role)
    if (role.file !== undefined) waiting = below(role.file, delegatesOf(role.file), waiting)
  }
  return found
}

/** The next to ask is the last of the list. A terminating delegation ends everything that was still to come. */
function below(delegator: Verified<Targets>, { roles, terminates }: Delegates, waiting: readonly Waiting[]): Waiting[] {
  const own = roles.map((role) => ({ role, delegator })).toReversed()
  return terminates ? own : [...waiting, ...own]
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
