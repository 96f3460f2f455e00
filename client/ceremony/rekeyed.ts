/** What a change of the targets keys may do to delegations: some roles follow, and nothing else moves. */
import { isDeepStrictEqual } from 'node:util'
import type { Delegations, KeySet, RoleKeys } from '../../tuf/index.ts'
import { isOwners } from '../publish/layout.ts'

/** The keys of targets. */
export type Rekeying = { readonly before: KeySet; readonly after: KeySet }

/** Whether these are the delegations of before, but for roles that were under the keys of targets, and hash bins. */
export function isRekeyed(
  before: Delegations | undefined,
  after: Delegations | undefined,
  rekeying: Rekeying,
): boolean {
  if (before === undefined || after === undefined) return before === after
  if (before.roles.length !== after.roles.length || !isDeepStrictEqual(before.unknown, after.unknown)) return false
  const roles = before.roles.every((was, i) => isFit(was, after.roles[i], isOwners(was.name), rekeying))
  const { succinct } = before
  if (succinct === undefined || after.succinct === undefined) return roles && succinct === after.succinct
  return roles && isFit(succinct, after.succinct, isOwners(`${succinct.namePrefix}-0`), rekeying)
}

function isFit<R extends RoleKeys>(was: R, is: R | undefined, isOwn: boolean, rekeying: Rekeying): boolean {
  if (is === undefined || !isDeepStrictEqual(factsOf(was), factsOf(is))) return false
  const isSame = sameIds(was.keyids, is.keyids) && was.threshold === is.threshold
  return isSame || follows(was, is, isOwn, rekeying)
}

/** A threshold may come to be that of targets, or stay as high as the keys allow. */
function follows(was: RoleKeys, is: RoleKeys, isOwn: boolean, { before, after }: Rekeying): boolean {
  const isFree = isOwn || sameIds(was.keyids, idsOf(before))
  const isMet = is.threshold === after.threshold || is.threshold >= Math.min(was.threshold, is.keyids.length)
  return isFree && sameIds(is.keyids, idsOf(after)) && isMet
}

function factsOf({ keyids: _keyids, threshold: _threshold, ...rest }: RoleKeys): object {
  return rest
}

function idsOf({ keys }: KeySet): readonly string[] {
  return keys.map(({ id }) => id)
}

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return isDeepStrictEqual(a.toSorted(), b.toSorted())
}
