import { customsOf } from '../publish/customs.ts'
import type { Standing } from '../publish/standing.ts'
import { movesIn } from '../proposals/changes.ts'
import type { DelegationChange, FileChanges } from '../proposals/changes.ts'
import { isComplete, waitingFor } from '../proposals/review.ts'
import type { Reviewed } from '../proposals/review.ts'
import { changeLines } from '../proposals/text.ts'
import { pathsOf, pathsText } from './delegation-paths.ts'
import { shortId } from './key-document.ts'

/** What a proposal changes, who began and signed it, and who is missing. */
export function reviewText(reviewed: Reviewed, standing: Standing, now: number): readonly string[] {
  const { repository, pending, changes } = reviewed
  const began = pending.by === undefined ? '' : `, which ${pending.by} began`
  const waiting = waitingFor(reviewed).map(
    ({ role, need, have, missing }) =>
      `${role} has ${have} of ${need} signatures; missing: ${missing.map(shortId).join(', ')}`,
  )
  return [
    `proposal ${pending.id} of ${repository}${began}`,
    ...changesText(changes, standing, now),
    ...waiting,
    ...(isComplete(reviewed) ? ['it has every signature that it needs, and is not published yet'] : []),
    `it ends at ${new Date(pending.expiresAt).toISOString()}`,
  ]
}

export function changesText(changes: readonly FileChanges[], { codec }: Standing, now: number): readonly string[] {
  return changeLines(changes, { pathsText, shortId, now, lifetime: customsOf(codec).lifetimes.targets })
}

export function reviewDocument(reviewed: Reviewed): object {
  const { repository, pending, changes } = reviewed
  return {
    repository,
    proposal: pending.id,
    by: pending.by ?? null,
    expires: new Date(pending.expiresAt).toISOString(),
    changes: changesDocument(changes),
    waiting: waitingFor(reviewed),
  }
}

export function changesDocument(changes: readonly FileChanges[]): readonly object[] {
  const moves = movesIn(changes)
  return changes.map(({ role, from, version, expires, tags, delegations, order, bins }) => ({
    role,
    from: from ?? null,
    version,
    expires: new Date(expires).toISOString(),
    tags: tags.map(({ tag, before, after }) => ({
      tag,
      before: before ?? null,
      after: after?.digest ?? null,
      ...(moves.has(tag) ? { moves: true } : {}),
    })),
    delegations: delegations.map(delegationDocument),
    order: order ?? null,
    bins: bins === undefined ? null : { bits: bins.bitLength, threshold: bins.threshold, keys: bins.keyids },
  }))
}

function delegationDocument({ role, before, after }: DelegationChange): object {
  const document = (each: DelegationChange['before']) =>
    each === undefined
      ? null
      : { threshold: each.threshold, keys: each.keyids, paths: pathsOf(each), terminating: each.terminating }
  return { role, before: document(before), after: document(after) }
}
