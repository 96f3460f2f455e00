/** A stale proposal made again on top of what is there now. */
import { signersOf, TARGETS } from '../../tuf/index.ts'
import type { Authority, RoleName, TargetFile, Targets } from '../../tuf/index.ts'
import type { Edit, Plan } from '../publish/edit.ts'
import { PublishError } from '../publish/errors.ts'
import { isOwners } from '../publish/layout.ts'
import type { Desk } from '../publish/publish.ts'
import { allRoles } from '../publish/standing.ts'
import type { HoldingRole, Standing } from '../publish/standing.ts'
import { editOf, planSigning } from '../publish/tags.ts'
import { digestOf } from '../trust/repository.ts'
import type { PendingFile, PendingProposal } from './api.ts'

/** What a proposal meant to change of one role's tags. */
type Wish = {
  readonly role: RoleName
  readonly set: ReadonlyMap<string, TargetFile>
  readonly remove: ReadonlySet<string>
  /** What these tags meant when it was made. */
  readonly before: ReadonlyMap<string, string>
}

export type Renewing = {
  readonly desk: Desk
  readonly repository: string
  readonly pending: PendingProposal
  readonly clock: () => number
}

/**
 * The same change of tags, found by comparing its files with those that it was made on top of, which must be signed by
 * the keys of today. Throws PROPOSAL_UNFIT for what cannot be made again from that alone, and TAG_CHANGED where somebody
 * gave a tag another meaning since.
 */
export function planRenewal({ desk, repository, pending, clock }: Renewing): Plan {
  return async (standing) => {
    const roles = new Map((await allRoles(standing)).map((role) => [role.name, role]))
    const wishes = pending.files.map((file) => wishOf(standing, roles, pending.id, file))
    for (const wish of wishes) refuseChanged(repository, roles, wish)
    const removals = wishes.flatMap((wish) => removalEdit(standing, roles, wish, clock))
    if (wishes.every(({ set }) => set.size === 0)) return removals
    if (removals.length > 0) throw unfit(pending.id, 'it both sets tags and takes some out: make it again by hand')
    const edits: Edit[] = []
    for (const [role, tags] of byPlace(wishes)) {
      const { canSign, canHelp } = role === undefined ? ownersKeys(desk) : desk.keyring
      const plan = planSigning({
        repository,
        tags,
        role,
        clock,
        canSign,
        canHelp,
        stillSo: async () => {},
        placed: () => {},
      })
      edits.push(...(await plan(standing)))
    }
    return edits
  }
}

function unfit(proposal: string, why: string): PublishError {
  return new PublishError('PROPOSAL_UNFIT', { proposal, why })
}

function wishOf(
  standing: Standing,
  roles: ReadonlyMap<RoleName, HoldingRole>,
  id: string,
  { role, bytes, base }: PendingFile,
): Wish {
  const { codec, suite } = standing
  const held = roles.get(role)
  if (held === undefined) throw unfit(id, `nobody delegates to ${role} any more`)
  const next = codec.decode('targets', bytes, standing).body
  const before = base && codec.decode('targets', base, standing)
  if (before !== undefined && signersOf(held.authority, before, suite).size < held.authority.role.threshold) {
    throw unfit(id, `it was made on top of a ${role} that its keys of today have not signed`)
  }
  if (JSON.stringify(rolesOf(before?.body)) !== JSON.stringify(rolesOf(next))) {
    throw unfit(id, `it changes whom ${role} delegates to: run the command again that made it`)
  }
  return tagWish(role, before?.body, next)
}

function rolesOf(file: Targets | undefined): unknown {
  const delegations = file?.delegations
  return delegations && [delegations.roles, delegations.succinct ?? null]
}

function tagWish(role: RoleName, before: Targets | undefined, next: Targets): Wish {
  const meaning = (file: Targets | undefined, tag: string) => {
    const target = file?.targets.get(tag)
    return target && digestOf({ path: tag, target })
  }
  const set = new Map([...next.targets].filter(([tag]) => meaning(before, tag) !== meaning(next, tag)))
  const remove = new Set([...(before?.targets.keys() ?? [])].filter((tag) => !next.targets.has(tag)))
  const old = [...set.keys(), ...remove].flatMap((tag) => {
    const digest = meaning(before, tag)
    return digest === undefined ? [] : [[tag, digest] as const]
  })
  return { role, set, remove, before: new Map(old) }
}

/** Somebody else gave a tag another meaning since: which of the two is meant, nobody here can tell. */
function refuseChanged(
  repository: string,
  roles: ReadonlyMap<RoleName, HoldingRole>,
  { role, set, remove, before }: Wish,
): void {
  const file = roles.get(role)?.file
  for (const tag of [...set.keys(), ...remove]) {
    const target = file?.targets.get(tag)
    const now = target && digestOf({ path: tag, target })
    const wanted = set.get(tag)
    const digest = wanted && digestOf({ path: tag, target: wanted })
    if (now === before.get(tag) || now === digest) continue
    const image = `${repository}:${tag}`
    throw new PublishError('TAG_CHANGED', { image, wanted: digest ?? 'gone', signed: now ?? 'gone' })
  }
}

function removalEdit(
  { codec }: Standing,
  roles: ReadonlyMap<RoleName, HoldingRole>,
  { role, remove }: Wish,
  clock: () => number,
): readonly Edit[] {
  const held = roles.get(role)
  const left = new Set([...remove].filter((tag) => held?.file?.targets.has(tag) === true))
  return held === undefined || left.size === 0 ? [] : [editOf(held, { remove: left }, { codec, clock })]
}

/** For no other role than the owner's own. */
function ownersKeys({ keyring }: Desk) {
  const isTheirs = ({ name }: Authority) => name === TARGETS || isOwners(name)
  return {
    canSign: (authority: Authority) => isTheirs(authority) && keyring.canSign(authority),
    canHelp: (authority: Authority) => isTheirs(authority) && keyring.canHelp(authority),
  }
}

/** The owner's tags go where such tags go by now, in bins or not; a team's stay its own. */
function byPlace(wishes: readonly Wish[]): ReadonlyMap<RoleName | undefined, ReadonlyMap<string, TargetFile>> {
  const places = new Map<RoleName | undefined, Map<string, TargetFile>>()
  for (const { role, set } of wishes) {
    const place = role === TARGETS || isOwners(role) ? undefined : role
    const tags = places.get(place) ?? new Map<string, TargetFile>()
    places.set(place, tags)
    for (const [tag, target] of set) tags.set(tag, target)
  }
  return places
}
