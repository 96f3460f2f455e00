/** What the keys of this machine may sign in place of a tag that they may not. */
import { delegatedAuthority, listedRoles } from '../../tuf/index.ts'
import type { Authority } from '../../tuf/index.ts'
import { patternsOf } from './delegation-entry.ts'
import type { Allowed } from './errors.ts'
import { isOwners } from './layout.ts'
import { counts, namedRoles } from './standing.ts'
import type { Standing } from './standing.ts'

/** Delegated roles that keys of this machine sign for, whatever tags these are for. */
export async function allowedHere(
  standing: Standing,
  canHelp: (authority: Authority) => boolean,
): Promise<readonly Allowed[]> {
  const allowed: Allowed[] = []
  for (const { file } of await namedRoles(standing)) {
    if (file === undefined) continue
    const counting = listedRoles(file).filter((role) => !isOwners(role.name) && counts(standing, role))
    const own = counting.filter(({ name }) => canHelp(delegatedAuthority(file, name)))
    allowed.push(...own.map(({ name, scope }) => ({ role: name, patterns: patternsOf(scope) })))
  }
  return allowed
}
