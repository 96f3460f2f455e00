/** What is signed again of a file that a thief may have written to, and what is not. */
import {
  inOrder,
  roleName,
  succinctBins,
  TrustError,
  withDelegation,
  withoutBins,
  withoutDelegation,
} from '../../tuf/index.ts'
import type { Codec, Delegations, KeySet, RoleName, Scope, Suite, TargetFile } from '../../tuf/index.ts'
import type { DelegationEntry } from '../server-api.ts'
import { labelOf } from './doubts.ts'
import type { DelegationDoubt, Doubt, Meaning, OrderDoubt, Orders, TagDoubt } from './doubts.ts'
import { lastOf } from './layout.ts'
import type { HoldingRole } from './standing.ts'

/** `keep` what it is now, `restore` what it was before, or neither. */
export type Decision = 'keep' | 'restore' | 'drop'
/** `alone`: what was decided by this name, and not by a word that stands for everything. */
export type Decide = (label: string, alone?: boolean) => Decision | undefined

/** What nobody signed comes back once it was told; and where it puts keys in force, by its name alone. */
export function decisionOn(doubt: Doubt, decide: Decide, isTold: boolean): Decision | undefined {
  const label = labelOf(doubt)
  const decision = decide(label)
  if (decision !== 'restore' || !isWordOfServer(doubt)) return decision
  if (!isTold) return undefined
  return doubt.kind === 'delegation' ? decide(label, true) : decision
}

/** What was before, by the word of the server alone. */
export function isWordOfServer(doubt: Doubt): boolean {
  return doubt.kind !== 'order' && doubt.before !== undefined && !doubt.isSigned
}

type Lists = {
  readonly codec: Codec
  readonly suite: Suite
  /** Where roles stood that come back. */
  readonly orders?: Orders | undefined
}
/** `delegations` is undefined where the file has none. */
export type Sifted = {
  readonly set: ReadonlyMap<string, TargetFile>
  readonly remove: ReadonlySet<string>
  readonly delegations: Delegations | undefined
}

/** All of it signed again. */
export function asItIs({ file }: Pick<HoldingRole, 'file'>): Sifted {
  return { set: new Map(), remove: new Set(), delegations: file?.delegations }
}

/** Until somebody decides, a tag in doubt is out, and a delegation in doubt is as it was before, if that was signed. */
export function sift(
  { name, file }: Pick<HoldingRole, 'name' | 'file'>,
  doubts: readonly Doubt[],
  decide: Decide,
  lists: Lists,
): Sifted {
  const own = doubts.filter(({ role }) => role === name)
  const set = new Map<string, TargetFile>()
  const remove = new Set<string>()
  let delegations = file?.delegations
  for (const doubt of own.toSorted((a, b) => turnOf(a) - turnOf(b))) {
    const decision = decisionOn(doubt, decide, false)
    if (decision === 'keep') continue
    if (doubt.kind === 'delegation') delegations = settled(delegations, doubt, decision, lists)
    else if (doubt.kind === 'order') delegations = delegations && inOrder(delegations, doubt.before)
    else if (decision === 'restore' && doubt.before !== undefined) set.set(doubt.name, asTarget(doubt.before))
    else remove.add(doubt.name)
  }
  return { set, remove, delegations }
}

/** The same for a file that was sifted before, under keys that nobody stole: what has been decided since. */
export function decided(
  { name, file }: Pick<HoldingRole, 'name' | 'file'>,
  doubts: readonly Doubt[],
  decide: Decide,
  lists: Lists,
): Sifted {
  const own = doubts.filter(({ role }) => role === name)
  const set = new Map<string, TargetFile>()
  let delegations = file?.delegations
  for (const doubt of own.toSorted((a, b) => turnOf(a) - turnOf(b))) {
    const decision = decisionOn(doubt, decide, true)
    if (doubt.kind === 'order') delegations = reordered(delegations, doubt, decision)
    else if (doubt.kind === 'tag') {
      const meaning = meaningBy(doubt, decision)
      if (meaning !== undefined) set.set(doubt.name, asTarget(meaning))
    } else if (decision !== undefined) delegations = withDecided(delegations, doubt, decision, lists)
  }
  return { set, remove: new Set(), delegations }
}

function meaningBy({ now, before }: TagDoubt, decision: Decision | undefined): Meaning | undefined {
  if (decision === 'keep') return now
  return decision === 'restore' ? before : undefined
}

function withDecided(
  delegations: Delegations | undefined,
  doubt: DelegationDoubt,
  decision: Decision,
  lists: Lists,
): Delegations | undefined {
  const { name, now, before } = doubt
  if (decision === 'keep') return withEntry(delegations, name, now, lists)
  if (decision === 'drop') return withEntry(delegations, name, undefined, lists)
  return isWordOfServer(doubt) ? withEntry(delegations, name, before, lists) : delegations
}

function reordered(
  delegations: Delegations | undefined,
  { now }: OrderDoubt,
  decision: Decision | undefined,
): Delegations | undefined {
  return decision === 'keep' && delegations !== undefined ? inOrder(delegations, now) : delegations
}

function settled(
  delegations: Delegations | undefined,
  doubt: DelegationDoubt,
  decision: 'restore' | 'drop' | undefined,
  lists: Lists,
): Delegations | undefined {
  const { name, role, before } = doubt
  const next = nextOf(lists.orders?.get(role), name, delegations)
  const isOut = decision === 'drop' || (decision === undefined && isWordOfServer(doubt))
  return withEntry(delegations, name, isOut ? undefined : before, lists, next)
}

/** Of the roles that stood behind this one, the first that is there. */
function nextOf(
  order: readonly string[] | undefined,
  name: string,
  delegations: Delegations | undefined,
): RoleName | undefined {
  const place = order?.indexOf(name) ?? -1
  const there = new Map<string, RoleName>(delegations?.roles.map((role) => [role.name, role.name]))
  return place < 0 ? undefined : there.get(order?.slice(place + 1).find((each) => there.has(each)) ?? '')
}

function withEntry(
  delegations: Delegations | undefined,
  name: string,
  entry: DelegationEntry | undefined,
  { codec, suite }: Lists,
  next = lastOf(delegations?.roles),
): Delegations | undefined {
  const keySet = () => ({
    keys: (entry?.keys ?? []).map((key) => codec.key(key, suite)),
    threshold: entry?.threshold ?? 1,
  })
  if (name.endsWith('-*')) return withBins(delegations, name, entry && { ...keySet(), scope: entry.scope })
  const role = roleName(name)
  if (entry === undefined) return delegations && withoutDelegation(delegations, role)
  const { terminating } = entry
  return withDelegation(delegations, { ...keySet(), name: role, scope: scopeOf(entry), terminating }, next)
}

/** Hash bins leave room for no other role, so those of a thief go before anything comes back; order is for what is there. */
function turnOf({ kind, name }: Doubt): number {
  if (kind === 'order') return 2
  return kind === 'delegation' && name.endsWith('-*') ? 0 : 1
}

/** Throws MALFORMED where other roles are in the way. */
function withBins(
  delegations: Delegations | undefined,
  name: string,
  entry: (KeySet & Pick<DelegationEntry, 'scope'>) | undefined,
): Delegations | undefined {
  const isThere = `${delegations?.succinct?.namePrefix}-*` === name
  const left = isThere && delegations !== undefined ? withoutBins(delegations) : delegations
  if (entry === undefined) return left
  const [, prefix, bits] = /^(.+)-(\d{1,2})$/.exec(entry.scope.patterns[0] ?? '') ?? []
  if (prefix === undefined || left?.succinct !== undefined || (left?.roles.length ?? 0) > 0) {
    throw new TrustError('MALFORMED', { what: 'delegations', got: `the hash bins ${name} beside other roles` })
  }
  return succinctBins(entry, Number(bits), prefix)
}

function scopeOf({ scope: { kind, patterns } }: DelegationEntry): Scope {
  if (kind === 'paths') return { kind, paths: patterns }
  return { kind: kind === 'hash-prefixes' ? kind : 'path-prefixes', prefixes: patterns }
}

function asTarget({ length, hashes, custom }: Meaning): TargetFile {
  return { length, hashes, ...(custom === undefined ? {} : { custom }), unknown: new Map() }
}
