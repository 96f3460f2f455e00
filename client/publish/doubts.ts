/**
 * What a stolen key may have done: tags and delegations that were changed since some moment, by the server's record.
 *
 * The record is the server's word and is not signed: one that lies can have good tags taken out, or bad ones kept, and
 * nothing put in force that no signed file had there. Whoever trusts it that little reads on. What a tag means now is signed,
 * and is taken from the files.
 */
import type { Authority, RoleName, Suite, TargetFile } from '../../tuf/index.ts'
import { besidesOf, listedRoles, roleName, TARGETS } from '../../tuf/index.ts'
import type { ChangedDelegation, ChangedOrder, DelegationEntry, HistoryEntry, ServerApi } from '../server-api.ts'
import { digestOf } from '../trust/repository.ts'
import { entryIn } from './delegation-entry.ts'
import { isPublishError } from './errors.ts'
import { isOwners } from './layout.ts'
import type { SignedBefore } from './signed-before.ts'
import type { HoldingRole } from './standing.ts'

/** What a tag means: enough to sign it again. */
export type Meaning = Pick<TargetFile, 'length' | 'hashes' | 'custom'>

/** By whom and when a thing was changed last: milliseconds, key ids, and the token's name where we are told it. */
export type Change = { readonly at: number; readonly keyids: readonly string[]; readonly by?: string | undefined }

/** A tag that changed. `role` is the file that lists it, or that did. */
export type TagDoubt = Change & {
  readonly kind: 'tag'
  readonly name: string
  readonly role: RoleName
  /** undefined where it was taken out. */
  readonly now: Meaning | undefined
  /** undefined where it meant nothing, or longer ago than was looked. */
  readonly before: Meaning | undefined
  /** A file that the keys of its role signed says `before` as well. Otherwise that is the word of the server alone. */
  readonly isSigned: boolean
}

/** A delegation that changed, in the file of `role`. */
export type DelegationDoubt = Change & {
  readonly kind: 'delegation'
  readonly name: string
  readonly role: RoleName
  readonly now: DelegationEntry | undefined
  readonly before: DelegationEntry | undefined
  /** A file that the delegator's keys signed says `before` as well, or more. Otherwise that is the word of the server alone. */
  readonly isSigned: boolean
}
/** The roles below `role`, which is its name as well, in the order in which they are asked: the first one decides. */
export type OrderDoubt = Change & {
  readonly kind: 'order'
  readonly name: RoleName
  readonly role: RoleName
  readonly now: readonly string[]
  /** Without those that came since. */
  readonly before: readonly string[]
}
export type Doubt = TagDoubt | DelegationDoubt | OrderDoubt

export type Question = {
  readonly server: Pick<ServerApi, 'history' | 'wholeHistory' | 'changes'>
  /** The roles between which the owner of these keys moves tags. */
  readonly family: readonly HoldingRole[]
  /** Milliseconds since 1970. */
  readonly since: number
  readonly suite: Suite
  readonly signedBefore: SignedBefore
}

/**
 * `orders`: how the roles below a delegator stood, where one left since or others are asked first; undefined where the
 * server does not say.
 */
export type Doubts = { readonly doubts: readonly Doubt[]; readonly orders: Orders | undefined }
export type Orders = ReadonlyMap<string, readonly string[]>

const AT_ONCE = 16
/** Changes of one tag that are looked back through. */
const MOST_ENTRIES = 100_000

export async function doubtsIn(question: Question): Promise<Doubts> {
  const { server, family, since } = question
  const changes = await changesOf(server, since)
  const waiting = [...(changes?.tags ?? tagsOf(family))]
  const found: Found[] = []
  const look = async () => {
    for (let tag = waiting.pop(); tag !== undefined; tag = waiting.pop()) {
      const doubt = await doubtOf(question, tag)
      if (doubt !== undefined) found.push(doubt)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, look))
  const doubts = await withSigned(question, found)
  const delegations: DelegationDoubt[] = []
  for (const change of changes?.delegations ?? []) delegations.push(...(await delegationDoubt(question, change)))
  const orders = (changes?.orders ?? []).flatMap((change) => orderDoubt(family, change))
  return {
    doubts: [...doubts.toSorted(byName), ...delegations.toSorted(byName), ...orders.toSorted(byName)],
    orders: changes?.orders && new Map(changes.orders.map(({ delegator, before }) => [delegator, before])),
  }
}

function byName(a: Doubt, b: Doubt): number {
  return a.name < b.name ? -1 : 1
}

/** How decisions and records call it. No tag has a colon. */
export function labelOf({ kind, name }: Doubt): string {
  return kind === 'tag' ? name : `${kind}:${name}`
}

/** undefined where a server keeps no such record; then every tag is asked for by itself. */
async function changesOf(server: Question['server'], since: number) {
  try {
    return await server.changes(since)
  } catch (error) {
    if (isPublishError(error) && error.code === 'NOT_THERE') return undefined
    throw error
  }
}

function tagsOf(family: readonly HoldingRole[]): readonly string[] {
  return [...new Set(family.flatMap(({ file }) => [...(file?.targets.keys() ?? [])]))]
}

/** A doubt with what the record says of it. */
type Found = Omit<TagDoubt, 'isSigned'> & { readonly past: Past }

/** Nearly all that changed since a moment stands as it was in the file before the first of these changes. */
async function withSigned({ family, signedBefore }: Question, found: readonly Found[]): Promise<readonly TagDoubt[]> {
  const firsts = new Map<string, number>()
  for (const { past } of found) {
    for (const [role, version] of past.changedIn) firsts.set(role, Math.min(version, firsts.get(role) ?? version))
  }
  const doubts: TagDoubt[] = []
  for (const { past, ...doubt } of found) {
    const { before, changedIn } = past
    const holder = before && family.find(({ name }) => name === before.role)
    const versions = before === undefined ? [] : [firsts.get(before.role), changedIn.get(before.role)]
    const earlier = versions.flatMap((version) => (version === undefined ? [] : [version - 1]))
    const isSigned =
      before !== undefined &&
      holder !== undefined &&
      (await signedBefore.tag(holder, before, [...earlier, before.version]))
    doubts.push({ ...doubt, isSigned })
  }
  return doubts
}

async function doubtOf(question: Question, tag: string): Promise<Found | undefined> {
  const { server, family, since, suite } = question
  const [newest] = await server.history(tag, 1)
  if (newest === undefined || newest.at < since) return undefined
  const past = await lookBack(question, tag)
  const { last, before, isWhole } = past
  if (isWhole && (last === undefined || last.at < since)) return undefined
  const holder = family.find(({ file }) => file?.targets.has(tag))
  const now = holder?.file?.targets.get(tag)
  if (now !== undefined && isSame(tag, now, before) && hasSameBesides(now, before, last, suite)) return undefined
  if (isWhole && now === undefined && before?.digest === undefined) return undefined
  const { at, keyids, by, role: changed } = last ?? newest
  const role = holder?.name ?? roleName(before?.role ?? changed)
  return { kind: 'tag', name: tag, role, now, before: before && meaningOf(before), at, keyids, by, past }
}

/** A length that is wrong has every pull refused, as one that is endless would be. */
function isSame(tag: string, now: TargetFile, before: HistoryEntry | undefined): boolean {
  return digestOf({ path: tag, target: now }) === before?.digest && now.length === before?.length
}

/** One that is plain has nothing to hide; where the record says nothing of it, nobody knows. */
function hasSameBesides(
  now: TargetFile,
  before: HistoryEntry | undefined,
  last: HistoryEntry | undefined,
  suite: Suite,
): boolean {
  return last?.besides === undefined || besidesOf(now, suite) === (before?.besides ?? '')
}

type Past = {
  /** What the family said last. */
  readonly last: HistoryEntry | undefined
  /** What the tag meant before the moment; undefined where it meant nothing. */
  readonly before: HistoryEntry | undefined
  /** Of each role, the version that changed the tag first since then. */
  readonly changedIn: ReadonlyMap<string, number>
  /** Not so where there is more than anybody looks through: then nobody knows what the tag meant. */
  readonly isWhole: boolean
}

/**
 * Past whatever was published since, also by roles outside of the family: a thief can put any number of changes on top
 * of one. One publish that moves a tag from role to role leaves two entries at the same time.
 */
async function lookBack({ server, family, since }: Question, tag: string): Promise<Past> {
  const names = new Set<string>(family.map(({ name }) => name))
  let last: HistoryEntry | undefined
  let older: HistoryEntry | undefined
  const changedIn = new Map<string, number>()
  let looked = 0
  for await (const entry of server.wholeHistory(tag)) {
    looked += 1
    if (looked > MOST_ENTRIES) return { last, before: undefined, changedIn, isWhole: false }
    if (!names.has(entry.role)) continue
    last ??= entry
    if (entry.at >= since) {
      changedIn.set(entry.role, entry.version)
      continue
    }
    if (older !== undefined && entry.at !== older.at) break
    if (older?.digest === undefined) older = entry
  }
  return { last, before: older?.digest === undefined ? undefined : older, changedIn, isWhole: true }
}

function meaningOf({ digest, length }: HistoryEntry): Meaning | undefined {
  const [algorithm = '', hex = ''] = digest?.split(':') ?? []
  return digest === undefined || length === undefined ? undefined : { length, hashes: new Map([[algorithm, hex]]) }
}

/** One that was made under the very keys that are replaced is replaced with them, and no concern. */
async function delegationDoubt(
  { family, signedBefore }: Question,
  change: ChangedDelegation,
): Promise<readonly DelegationDoubt[]> {
  const delegator = family.find(({ name }) => name === change.delegator)
  if (delegator === undefined) return []
  const now = entryIn(delegator.file?.delegations, change.role)
  const { at, keyids, by, before } = change
  if (JSON.stringify(now) === JSON.stringify(before)) return []
  if (now !== undefined && follows(change, now, delegator)) return []
  const isOurs = before !== undefined && (isWithin(before, now) || followsOwner(family, change.role))
  const isSigned = isOurs || (before !== undefined && (await signedBefore.delegation(delegator, { ...change, before })))
  return [{ kind: 'delegation', name: change.role, role: delegator.name, now, before, isSigned, at, keyids, by }]
}

/** One that only has other roles in between has the order that it had. */
function orderDoubt(family: readonly HoldingRole[], change: ChangedOrder): readonly OrderDoubt[] {
  const delegator = family.find(({ name }) => name === change.delegator)
  if (delegator?.file === undefined) return []
  const { name: role } = delegator
  const now: readonly string[] = listedRoles(delegator.file).map(({ name }) => name)
  const { at, keyids, by, before } = change
  const [known, left] = [new Set(before), new Set(now)]
  const isAsBefore =
    JSON.stringify(before.filter((name) => left.has(name))) === JSON.stringify(now.filter((name) => known.has(name)))
  return isAsBefore ? [] : [{ kind: 'order', name: role, role, now, before, at, keyids, by }]
}

/** Whether it gets the owner's new keys whatever is written there, and nobody else's role was put under them. */
function follows({ role, before }: ChangedDelegation, now: DelegationEntry, { authority }: HoldingRole): boolean {
  if (isBins(role) && isOwners(role.replace('*', '0'))) return before === undefined || isSameScope(before, now)
  return isUnder(now, authority) && (before === undefined || isUnder(before, authority))
}

/** What is the owner's by its name gets the owner's new keys together with targets, whatever a record says of them. */
function followsOwner(family: readonly HoldingRole[], role: string): boolean {
  return isOwners(role.replace('*', '0')) && family.some(({ name }) => name === TARGETS)
}

/** Whether it gives nobody more than the file that is signed does now: fewer keys, no fewer of them, for tags of these. */
function isWithin(before: DelegationEntry, now: DelegationEntry | undefined): boolean {
  if (now === undefined || before.threshold < now.threshold || before.terminating !== now.terminating) return false
  const keys = new Set(now.keys.map((key) => JSON.stringify(key)))
  const patterns = new Set(now.scope.patterns)
  const every = EVERY_TAG.get(now.scope.kind)
  const isAll = every !== undefined && patterns.has(every)
  const isAsked = isAll || before.scope.patterns.every((pattern) => patterns.has(pattern))
  return before.scope.kind === now.scope.kind && isAsked && before.keys.every((key) => keys.has(JSON.stringify(key)))
}

/** No tag has a slash. */
const EVERY_TAG: ReadonlyMap<string, string> = new Map([
  ['paths', '*'],
  ['path-prefixes', ''],
])

function isSameScope({ scope: before }: DelegationEntry, { scope: now }: DelegationEntry): boolean {
  return JSON.stringify(before) === JSON.stringify(now)
}

/** All of these keys, and no other: a role under one of several would keep that one. */
function isUnder({ keys }: DelegationEntry, { role, keys: known }: Authority): boolean {
  const own = new Set(role.keyids.map((id) => known.get(id)?.public))
  return keys.length === own.size && keys.every((key) => own.has(key.public))
}

/** How a record calls the hash bins of a delegator: no role has a star in its name. */
function isBins(name: string): boolean {
  return name.endsWith('-*')
}
