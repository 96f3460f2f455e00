/**
 * Which of the owner's files a tag belongs in (ADR 0013).
 *
 * Up to a thousand tags stand in `targets` itself. Above that they live in hash bins below the role `bins`, so that
 * signing one costs what it costs among ten. Bins come last in the search and are signed by the keys of `targets`;
 * a tag in the scope of a team's role stays in `targets`, so that the owner's word is still found before the team's.
 */
import {
  binFor,
  binNames,
  delegatedAuthority,
  delegatesFor,
  firstTargets,
  inScope,
  listedRoles,
  roleName,
  succinctBins,
  TARGETS,
  withDelegation,
} from '../../tuf/index.ts'
import type {
  DelegatedRole,
  EditContext,
  KeySet,
  RoleName,
  Scope,
  Suite,
  TargetFile,
  Targets,
} from '../../tuf/index.ts'
import { customsOf } from './customs.ts'
import type { Edit } from './edit.ts'
import type { HoldingRole } from './standing.ts'

/** The role above the bins. */
export const BINS = roleName('bins')
const BIN_PREFIX = 'bin'
const BIN_BITS = 6

export function hasBins(targets: Targets): boolean {
  return listedRoles(targets).some(({ name }) => name === BINS)
}

/** The bins of a large repository are asked last, so a new role goes before them. */
export function lastOf(roles: readonly DelegatedRole[] | undefined): RoleName | undefined {
  return roles?.find(({ name }) => name === BINS)?.name
}

/** The bin for a tag, of the roles that are asked about it; undefined where the owner's word belongs in `targets`. */
export function binAmong(asked: readonly HoldingRole[]): HoldingRole | undefined {
  const [, second, third] = asked
  return second?.name === BINS ? third : undefined
}

/** Every bin below the role `bins`. */
export function allBins(bins: Targets | undefined): readonly RoleName[] {
  const succinct = bins?.delegations?.succinct
  return succinct === undefined ? [] : binNames(succinct)
}

/** A bin to look after in this publish: a different one each time, so that none expires unseen. */
export function binToRenew(bins: Targets, turn: number): RoleName | undefined {
  const succinct = bins.delegations?.succinct
  return succinct === undefined ? undefined : binNames(succinct)[turn % 2 ** succinct.bitLength]
}

/**
 * The edit of `targets` itself, or, where it would pass the mark, the first bins beside it: `targets` keeps what is
 * also a team's, and everything else moves in the same publish.
 */
export function spreadIfLarge(edit: Edit, keys: KeySet, suite: Suite, context: EditContext): readonly Edit[] {
  const { body } = edit
  if (body.type !== 'targets' || body.targets.size <= customsOf(context.codec).flatUpTo || hasBins(body)) return [edit]
  if (body.delegations?.succinct !== undefined) return [edit] // another tool's bins, which leave room for no role beside them
  const delegations = succinctBins(keys, BIN_BITS, BIN_PREFIX)
  const { succinct } = delegations
  if (succinct === undefined) return [edit]
  const homes = new Map<RoleName, Map<string, TargetFile>>(binNames(succinct).map((bin) => [bin, new Map()]))
  const kept = new Map<string, TargetFile>()
  for (const [tag, target] of body.targets) {
    const home = isTeams(body, tag, suite) ? kept : homes.get(binFor(succinct, tag, suite))
    home?.set(tag, target)
  }
  const added = { ...keys, name: BINS, scope: EVERY_TAG, terminating: true }
  const targets: Targets = { ...body, targets: kept, delegations: withDelegation(body.delegations, added) }
  const bins = firstTargets({ delegations }, context)
  return [
    { ...edit, body: targets },
    { role: BINS, body: bins, authorities: [delegatedAuthority(targets, BINS)] },
    ...[...homes].map(([role, set]) => ({
      role,
      body: firstTargets({ set }, context),
      authorities: [delegatedAuthority(bins, role)],
    })),
  ]
}

/** The tags of each bin that a new team's role covers. They move to `targets`, or the team's word would come first. */
export function coveredInBins(
  roles: readonly HoldingRole[],
  scope: Scope,
  suite: Suite,
): ReadonlyMap<HoldingRole, ReadonlyMap<string, TargetFile>> {
  const covered = new Map<HoldingRole, ReadonlyMap<string, TargetFile>>()
  const holder = roles.find(({ name }) => name === BINS)?.file
  const bins = new Set(holder?.delegations?.succinct === undefined ? [] : binNames(holder.delegations.succinct))
  for (const role of roles) {
    if (role.file === undefined || !bins.has(role.name)) continue
    const tags = new Map([...role.file.targets].filter(([tag]) => inScope(scope, tag, suite)))
    if (tags.size > 0) covered.set(role, tags)
  }
  return covered
}

const EVERY_TAG: Scope = { kind: 'paths', paths: ['*'] }

/** Whether a role other than the bins is trusted for this tag. */
function isTeams(targets: Targets, tag: string, suite: Suite): boolean {
  return delegatesFor(targets, tag, suite).some(({ role }) => role !== BINS)
}

/** The keys and threshold of `targets`, which the bins share. */
export function keysOfOwner({ authority: { role, keys } }: Pick<HoldingRole, 'authority'>): KeySet {
  return { keys: role.keyids.flatMap((id) => keys.get(id) ?? []), threshold: role.threshold }
}

/** Whether a role has a name that the bins of a large repository have, or would have, or one below it. */
export function isOwners(role: string): boolean {
  return /^(?:bins|bin-[0-9a-f]+)(?:\/|$)/.test(role)
}

export function isOwner({ name }: Pick<HoldingRole, 'name'>): boolean {
  return name === TARGETS
}
