import { delegationTo, speakers, TARGETS } from '../../tuf/index.ts'
import type { RoleKeys, RoleName, SearchOrder, Targets, Verified } from '../../tuf/index.ts'
import { ClientError } from '../trust/errors.ts'
import { digestOf, pullableDigestOf } from '../trust/repository.ts'
import type { View } from '../trust/repository.ts'
import { VerdictError } from './errors.ts'
import type { SignedRule } from './rule.ts'

/** A tag of a repository, by their full names. */
export type Tagged = { readonly name: string; readonly tag: string }

/** What stands behind an admitted tag. `length` in bytes. */
export type Evidence = {
  readonly digest: string
  readonly length: number
  /** Where the search found it first. */
  readonly role: RoleName
  readonly versions: { readonly root: number; readonly timestamp: number; readonly snapshot: number }
}

/** The digest that a refreshed state and a rule give a tag, or the reason why they give none. */
export async function judgeTag(
  view: View,
  rule: SignedRule,
  { name, tag }: Tagged,
  signal?: AbortSignal,
): Promise<Evidence> {
  const found = await view.find(tag, signal, orderFor(rule, view.codec.search))
  if (found === undefined) throw new ClientError('TAG_NOT_SIGNED', { repository: name, tag })
  const digest = pullableDigestOf(found)
  const image = `${name}:${tag}`
  refuseOtherRole(rule, image, found.role)
  if (rule.require.length > 0 || rule.threshold > 1) await refuseTooFew(view, rule, { name, tag }, found.role, digest)
  const { root, timestamp, snapshot } = view
  const versions = { root: root.version, timestamp: timestamp.version, snapshot: snapshot.version }
  return { digest, length: found.target.length, role: found.role, versions }
}

/** A rule that names roles says itself whose word counts: not the dialect. */
function orderFor({ roles }: SignedRule, { walk, starts, counted }: SearchOrder): SearchOrder {
  return roles === undefined && counted !== undefined ? { walk, starts, counted } : { walk, starts }
}

/** The first role to list a tag decides what it means. Looking past one that does not count would let another decide. */
function refuseOtherRole({ roles }: SignedRule, image: string, role: RoleName): void {
  if (roles === undefined || roles.has(role)) return
  throw new VerdictError('ROLE_NOT_COUNTED', { image, role, counted: [...roles] })
}

async function refuseTooFew(
  view: View,
  rule: SignedRule,
  { name, tag }: Tagged,
  role: RoleName,
  digest: string,
): Promise<void> {
  const image = `${name}:${tag}`
  const askedFor = new Set([role, ...rule.require])
  const standing = new Map<string, Asked>()
  for await (const asked of rolesFor(view, tag)) {
    if (askedFor.has(asked.role) && !standing.has(asked.role)) standing.set(asked.role, asked)
    if (standing.size === askedFor.size) break
  }
  for (const required of rule.require) {
    const target = standing.get(required)?.file.targets.get(tag)
    const found = target && digestOf({ path: tag, target })
    if (found !== digest) throw new VerdictError('ROLE_REQUIRED', { image, role: required, found })
  }
  const have = standing.get(role)?.keys.threshold ?? 0
  if (have < rule.threshold) throw new VerdictError('THRESHOLD_REQUIRED', { image, role, need: rule.threshold, have })
}

type Asked = { readonly role: RoleName; readonly file: Verified<Targets>; readonly keys: RoleKeys }

/** Every role that is trusted for a tag, in the order of the search, which here does not end at the first that has it. */
async function* rolesFor(view: View, tag: string): AsyncGenerator<Asked, void, undefined> {
  const roles = speakers(view, tag)
  for (let step = roles.next(); step.done !== true; ) {
    const { role, delegator, speaks } = step.value
    const file = delegator === undefined ? view.targets : (await view.get({ role, delegator })).file
    const keys = delegator === undefined ? view.root.roles.get(TARGETS) : delegationTo(delegator, role)
    if (speaks && keys !== undefined) yield { role, file, keys }
    step = roles.next(file)
  }
}
