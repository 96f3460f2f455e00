/** Delegations that nobody can mean, refused before anything is published. */
import type { Codec, RoleName, Scope } from '../../tuf/index.ts'
import { nearest } from '../nearest.ts'
import { customsOf } from '../publish/customs.ts'
import { placeOf } from '../publish/delegating.ts'
import type { DelegationMade } from '../publish/delegating.ts'
import { isOwners } from '../publish/layout.ts'
import type { HoldingRole } from '../publish/standing.ts'
import { mayMeet } from '../publish/scope-overlap.ts'
import { pathsText } from './delegation-paths.ts'
import { usage } from './errors.ts'
import { typed } from './role-names.ts'

/** What was typed. */
export type Typed = { readonly repository: string; readonly paths: readonly string[]; readonly codec: Codec }

/** Throws USAGE. */
export function refuseUnmeant(made: DelegationMade, asked: Typed): void {
  if (made.entry === undefined && asked.paths.length === 0) throw unknownScope(made)
  refuseThreshold(made, asked)
  for (const above of scopesAbove(made.roles, made.parent.name)) refuseApart(made, above, asked)
}

/** A misspelt name of a role that is there would make one that may sign every tag. */
function unknownScope({ wanted: { name }, roles }: DelegationMade): Error {
  const others = roles.slice(1).filter((role) => !isOwners(role.name))
  const meant = nearest(
    name,
    others.map((role) => role.name),
  )
  return usage(
    `there is no role ${name} yet, and nothing says what a new one may sign`,
    `${meant === undefined ? '' : `did you mean ${meant}? `}for a new role give --path PATTERN, or --path "*" for every tag`,
  )
}

function refuseThreshold({ wanted: { name, threshold, keys } }: DelegationMade, { codec }: Typed): void {
  const most = customsOf(codec).mostNeeded
  if (threshold > most) throw usage(`in this repository ${most} signature is all that a role can need`)
  const count = new Set(keys.map(({ id }) => id)).size
  if (threshold <= count) return
  throw usage(
    `${threshold} keys cannot sign as ${name}, which has ${count}`,
    'give it more with --key FILE, or a lower --threshold',
  )
}

/** A role above it, and what that may sign. */
export type Above = { readonly name: RoleName; readonly scope: Scope }

/** From the one that delegates up; targets, which may sign everything, is none of them. */
export function scopesAbove(roles: readonly HoldingRole[], name: RoleName): readonly Above[] {
  const above: Above[] = []
  for (let at = placeOf(roles, name); at.entry !== undefined; at = placeOf(roles, at.parent.name)) {
    if (above.length === roles.length) break // two that delegate to each other
    above.push({ name: at.entry.name, scope: at.entry.scope })
  }
  return above
}

function refuseApart({ wanted }: DelegationMade, above: Above, { repository, paths, codec }: Typed): void {
  const apart = paths.find(
    (path) =>
      !mayMeet(
        typed(() => customsOf(codec).scope([path])),
        above.scope,
      ),
  )
  if (apart === undefined) return
  throw usage(
    `no tag matches ${JSON.stringify(apart)} that ${above.name} may sign (${pathsText(above)}), and ${wanted.name} is below it`,
    `let ${above.name} sign them first, with --path for each that it shall have: tagseal delegation add ${repository} ${above.name} --path P`,
  )
}
