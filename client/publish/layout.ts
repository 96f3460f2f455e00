/**
 * Which file a tag belongs in (ADR 0013).
 *
 * Up to a thousand tags stand in `targets` itself. Above that they live in hash bins below the role `bins`, so that
 * signing one costs what it costs among ten. Bins come last in the search and are signed by the keys of `targets`;
 * a tag in the scope of a team's role stays in `targets`, so that the owner's word is still found before the team's.
 */
import {
  binFor,
  binNames,
  delegatesFor,
  firstTargets,
  listedRoles,
  nextTargets,
  roleName,
  succinctBins,
  TARGETS,
  withDelegation,
} from '../../tuf/index.ts'
import type { EditContext, KeySet, RoleName, Suite, SuccinctRoles, TargetFile, Targets } from '../../tuf/index.ts'

/** The role above the bins. */
export const BINS = roleName('bins')
const BIN_PREFIX = 'bin'
const BIN_BITS = 6
const FLAT_UP_TO = 1000

/** A tag's new meaning; `undefined` takes it out. */
export type TagEdits = ReadonlyMap<string, TargetFile | undefined>

/** The owner's files, as far as they are needed. `bins` where the repository has them. */
export type OwnerFiles = {
  readonly targets: Targets
  readonly bins?: Targets
  /** The bins that were loaded: all that {@link binsFor} names for the edits. */
  readonly loaded: ReadonlyMap<RoleName, Targets>
}

export function hasBins(targets: Targets): boolean {
  return listedRoles(targets).some(({ name }) => name === BINS)
}

/** The bins that hold, or would hold, these tags. */
export function binsFor(targets: Targets, bins: Targets, tags: Iterable<string>, suite: Suite): ReadonlySet<RoleName> {
  const names = new Set<RoleName>()
  const succinct = bins.delegations?.succinct
  if (succinct === undefined) return names
  for (const tag of tags) if (!isTeams(targets, tag, suite)) names.add(binFor(succinct, tag, suite))
  return names
}

/** Every bin of the repository: what `list` reads and what a new key must sign again. */
export function allBins(bins: Targets): readonly RoleName[] {
  return bins.delegations?.succinct === undefined ? [] : binNames(bins.delegations.succinct)
}

/**
 * The next versions of the owner's files with these edits, ready to be signed by the keys of `targets`: only files
 * that change. Passing the mark moves every tag into bins in the same publish.
 */
export function editOwner(
  files: OwnerFiles,
  edits: TagEdits,
  keys: KeySet,
  suite: Suite,
  context: EditContext,
): ReadonlyMap<RoleName, Targets> {
  const succinct = files.bins?.delegations?.succinct
  if (succinct === undefined) return editFlat(files.targets, edits, keys, suite, context)
  const next = new Map<RoleName, Targets>()
  for (const [role, own] of byHome(files.targets, edits, succinct, suite)) {
    const before = role === TARGETS ? files.targets : files.loaded.get(role)
    if (before !== undefined) next.set(role, nextTargets(before, changeOf(own), context))
  }
  return next
}

function editFlat(
  targets: Targets,
  edits: TagEdits,
  keys: KeySet,
  suite: Suite,
  context: EditContext,
): ReadonlyMap<RoleName, Targets> {
  const next = nextTargets(targets, changeOf(edits), context)
  if (next.targets.size <= FLAT_UP_TO) return new Map([[TARGETS, next]])
  return spread(next, keys, suite, context)
}

/** The first bins: `targets` keeps what is also a team's, and everything else moves. */
function spread(next: Targets, keys: KeySet, suite: Suite, context: EditContext): ReadonlyMap<RoleName, Targets> {
  const delegations = succinctBins(keys, BIN_BITS, BIN_PREFIX)
  const bins = firstTargets({ delegations }, context)
  const { succinct } = delegations
  if (succinct === undefined) return new Map([[TARGETS, next]])
  const homes = byHome(next, next.targets, succinct, suite)
  const kept: ReadonlyMap<string, TargetFile> = new Map([...next.targets].filter(([tag]) => isTeams(next, tag, suite)))
  const scope = { kind: 'paths', paths: ['*'] } as const
  const targets: Targets = {
    ...next,
    targets: kept,
    delegations: withDelegation(next.delegations, { ...keys, name: BINS, scope, terminating: true }),
  }
  const files = binNames(succinct).map(
    (bin) => [bin, firstTargets(changeOf(homes.get(bin) ?? new Map()), context)] as const,
  )
  return new Map<RoleName, Targets>([[TARGETS, targets], [BINS, bins], ...files])
}

/** The edits of each file. */
function byHome(
  targets: Targets,
  edits: TagEdits,
  succinct: SuccinctRoles,
  suite: Suite,
): ReadonlyMap<RoleName, TagEdits> {
  const homes = new Map<RoleName, Map<string, TargetFile | undefined>>()
  for (const [tag, target] of edits) {
    const home = isTeams(targets, tag, suite) ? TARGETS : binFor(succinct, tag, suite)
    const own = homes.get(home) ?? new Map<string, TargetFile | undefined>()
    homes.set(home, own.set(tag, target))
  }
  return homes
}

/** Whether a role other than the bins is trusted for this tag. */
function isTeams(targets: Targets, tag: string, suite: Suite): boolean {
  return delegatesFor(targets, tag, suite).some(({ role }) => role !== BINS)
}

function changeOf(edits: TagEdits): { set: ReadonlyMap<string, TargetFile>; remove: ReadonlySet<string> } {
  const set = new Map<string, TargetFile>()
  const remove = new Set<string>()
  for (const [tag, target] of edits) {
    if (target === undefined) remove.add(tag)
    else set.set(tag, target)
  }
  return { set, remove }
}
