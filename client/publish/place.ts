/** Which role a tag is written into. */
import type { Authority, RoleName, TargetFile } from '../../tuf/index.ts'
import { digestOf } from '../trust/repository.ts'
import { PublishError } from './errors.ts'
import { idsHere } from './keyring.ts'
import { binAmong, isOwners } from './layout.ts'
import { allowedHere } from './may-sign.ts'
import { counts, rolesFor } from './standing.ts'
import type { HoldingRole, Standing } from './standing.ts'

export type PlaceWish = {
  readonly repository: string
  readonly tag: string
  /** The role that the caller named. */
  readonly role: RoleName | undefined
  readonly canSign: (authority: Authority) => boolean
  /** Whether some of the keys are here; the rest of the signatures can be waited for. */
  readonly canHelp: (authority: Authority) => boolean
}

/** `asked` are all roles that may speak for the tag, in the order in which clients ask them. */
export type Place = {
  readonly role: HoldingRole
  readonly asked: readonly HoldingRole[]
  /** Clients take the role's word. One that does not count can be named, for tools that are told to ask it. */
  readonly counts: boolean
}

/**
 * The role that holds the tag already, if keys of it are here; else the first one whose keys all are, or some. The owner
 * of a large repository writes into bins (ADR 0013).
 */
export async function placeFor(standing: Standing, wish: PlaceWish): Promise<Place> {
  const asked = await rolesFor(standing, wish.tag)
  const counting = asked.filter((role) => counts(standing, role))
  const role = wish.role === undefined ? anyOf(counting, wish) : named(asked, wish, wish.role)
  if (role === undefined) throw await noKeyFor(standing, counting, wish)
  return { role, asked, counts: counting.includes(role) }
}

/** Where a client finds the tag today. */
export function holderOf(asked: readonly HoldingRole[], tag: string): HoldingRole | undefined {
  return asked.find(({ file }) => file?.targets.has(tag))
}

/** Throws TAG_SHADOWED where clients would find the tag in another role before they come to this one. */
export function refuseShadowed(
  { role, asked, counts }: Place,
  { repository, tag, target }: Pick<PlaceWish, 'repository' | 'tag'> & { readonly target: TargetFile },
): void {
  const holder = holderOf(asked, tag)
  if (!counts || holder === undefined || asked.indexOf(holder) >= asked.indexOf(role)) return
  const there = holder.file?.targets.get(tag)
  const same = there !== undefined && digestOf({ path: tag, target: there }) === digestOf({ path: tag, target })
  throw new PublishError('TAG_SHADOWED', { repository, tag, role: role.name, by: holder.name, same })
}

function anyOf(asked: readonly HoldingRole[], { tag, canSign, canHelp }: PlaceWish): HoldingRole | undefined {
  const holder = holderOf(asked, tag)
  if (holder !== undefined && canHelp(holder.authority)) return holder
  const bin = binAmong(asked)
  if (bin !== undefined && canHelp(bin.authority)) return bin
  return asked.find(({ authority }) => canSign(authority)) ?? asked.find(({ authority }) => canHelp(authority))
}

/** Whoever may sign other tags is told which: a key of the owner is nothing to look for, let alone to replace. */
async function noKeyFor(
  standing: Standing,
  asked: readonly HoldingRole[],
  { repository, tag, canHelp }: PlaceWish,
): Promise<PublishError> {
  const [first] = asked
  if (first === undefined) throw new Error('targets is always asked')
  const { threshold } = first.authority.role
  const teams = asked.slice(1).filter(({ name }) => !isOwners(name))
  const keys = [...new Set([first, ...teams].flatMap(({ authority }) => idsHere(authority)))]
  const others = teams.length === 0 ? {} : { tag, others: teams.map(({ name }) => name) }
  const allowed = await allowedHere(standing, canHelp)
  const instead = allowed.length === 0 ? {} : { tag, allowed }
  const need = { role: first.name, need: threshold, have: 0, keys, repository }
  return new PublishError('NO_SIGNING_KEY', { ...need, ...others, ...instead })
}

function named(asked: readonly HoldingRole[], { repository, tag }: PlaceWish, role: RoleName): HoldingRole {
  const found = asked.find(({ name }) => name === role)
  if (found === undefined) throw new PublishError('TAG_OUT_OF_SCOPE', { repository, tag, role })
  return found
}
