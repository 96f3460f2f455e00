/** Carrying out what was decided after a stolen key was replaced, as a plan to publish. */
import { labelOf } from './doubts.ts'
import type { Doubt } from './doubts.ts'
import type { Edit, Plan } from './edit.ts'
import { decided } from './sifting.ts'
import type { Decide } from './sifting.ts'
import { allRoles } from './standing.ts'
import type { Standing } from './standing.ts'
import { editOf } from './tags.ts'

export type DecidingWish = {
  /** Those that nobody had decided on. */
  readonly doubts: readonly Doubt[]
  readonly decide: Decide
  readonly clock: () => number
  /** Told, for the plan that is carried out, which tags somebody signed anew: these are left as they are. */
  readonly settled: (labels: ReadonlySet<string>) => void
}

export function planDeciding(wish: DecidingWish): Plan {
  let mine: ReadonlySet<string> | undefined
  return async (standing) => {
    const roles = await allRoles(standing)
    const signed = signedSince(wish.doubts, roles)
    mine ??= new Set(wish.doubts.map(labelOf).filter((label) => !signed.has(label)))
    const own = mine
    wish.settled(new Set(wish.doubts.map(labelOf).filter((label) => !own.has(label))))
    const open = wish.doubts.filter((doubt) => own.has(labelOf(doubt)) && !signed.has(labelOf(doubt)))
    return editsOf(standing, roles, open, wish)
  }
}

type Roles = Awaited<ReturnType<typeof allRoles>>

/** Whoever signs a tag under the new keys has decided what it means. */
function signedSince(doubts: readonly Doubt[], roles: Roles): ReadonlySet<string> {
  const tags = doubts.filter(({ kind }) => kind === 'tag')
  const listed = tags.filter(({ role, name }) => fileOf(roles, role)?.targets.has(name) === true)
  return new Set(listed.map(labelOf))
}

function editsOf(standing: Standing, roles: Roles, doubts: readonly Doubt[], wish: DecidingWish): readonly Edit[] {
  const { codec, suite } = standing
  return roles.flatMap((role) => {
    if (role.file === undefined) return []
    const { set, delegations } = decided(role, doubts, wish.decide, { codec, suite })
    const delegates = delegations !== role.file.delegations
    if (set.size === 0 && !delegates) return []
    const change = delegates ? { set, delegations: delegations ?? null } : { set }
    return [editOf(role, change, { codec, clock: wish.clock })]
  })
}

function fileOf(roles: Roles, name: string) {
  return roles.find((role) => role.name === name)?.file
}
