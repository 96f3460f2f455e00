/** What is signed again of a file that a thief may have written to, and what is not. */
import { roleName, succinctBins, TrustError, withDelegation, withoutBins, withoutDelegation } from '../../tuf/index.ts'
import type { Codec, Delegations, KeySet, Scope, Suite, TargetFile } from '../../tuf/index.ts'
import type { DelegationEntry } from '../server-api.ts'
import { labelOf } from './doubts.ts'
import type { DelegationDoubt, Doubt, Meaning, TagDoubt } from './doubts.ts'
import type { HoldingRole } from './standing.ts'

/** `keep` what it is now, `restore` what it was before, or neither. */
export type Decision = 'keep' | 'restore' | 'drop'
export type Decide = (label: string) => Decision | undefined

type Lists = { readonly codec: Codec; readonly suite: Suite }
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

/** Until somebody decides, a tag in doubt is out, and a delegation in doubt is as it was before. */
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
  for (const doubt of [...own.filter(isOfBins), ...own.filter((each) => !isOfBins(each))]) {
    const decision = decide(labelOf(doubt))
    if (decision === 'keep') continue
    if (doubt.kind === 'delegation') delegations = settled(delegations, doubt, decision, lists)
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
  for (const doubt of own) {
    const decision = decide(labelOf(doubt))
    if (doubt.kind === 'tag') {
      const meaning = meaningBy(doubt, decision)
      if (meaning !== undefined) set.set(doubt.name, asTarget(meaning))
    } else if (decision === 'keep') delegations = withEntry(delegations, doubt.name, doubt.now, lists)
    else if (decision === 'drop') delegations = withEntry(delegations, doubt.name, undefined, lists)
  }
  return { set, remove: new Set(), delegations }
}

function meaningBy({ now, before }: TagDoubt, decision: Decision | undefined): Meaning | undefined {
  if (decision === 'keep') return now
  return decision === 'restore' ? before : undefined
}

function settled(
  delegations: Delegations | undefined,
  { name, before }: DelegationDoubt,
  decision: 'restore' | 'drop' | undefined,
  lists: Lists,
): Delegations | undefined {
  return withEntry(delegations, name, decision === 'drop' ? undefined : before, lists)
}

function withEntry(
  delegations: Delegations | undefined,
  name: string,
  entry: DelegationEntry | undefined,
  { codec, suite }: Lists,
): Delegations | undefined {
  const keySet = () => ({
    keys: (entry?.keys ?? []).map((key) => codec.key(key, suite)),
    threshold: entry?.threshold ?? 1,
  })
  if (name.endsWith('-*')) return withBins(delegations, name, entry && { ...keySet(), scope: entry.scope })
  const role = roleName(name)
  if (entry === undefined) return delegations && withoutDelegation(delegations, role)
  return withDelegation(delegations, {
    ...keySet(),
    name: role,
    scope: scopeOf(entry),
    terminating: entry.terminating,
  })
}

/** Hash bins leave room for no other role, so those of a thief go before anything comes back. */
function isOfBins({ kind, name }: Doubt): boolean {
  return kind === 'delegation' && name.endsWith('-*')
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
