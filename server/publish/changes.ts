import { besidesOf, isSameTarget, TrustError, newRoleName, refusePattern, refuseTargetPath } from '../../tuf/index.ts'
import type { DelegatedRole, Delegations, Hashes, RoleKeys, Suite, TargetFile, Targets } from '../../tuf/index.ts'
import type { DelegationChange, DelegationEntry, TagChange } from '../storage/store.ts'

/** What each tag means that did not mean it before. Costs one look at every tag, and a row for each that changed. */
export function tagChanges(previous: Targets | undefined, next: Targets, suite: Suite): readonly TagChange[] {
  const changes: TagChange[] = []
  for (const [tag, target] of next.targets) {
    if (sameMeaning(previous?.targets.get(tag), target)) continue
    const digest = digestOf(target)
    if (digest === undefined) continue
    changes.push({ tag, meaning: { digest, length: target.length, besides: besidesOf(target, suite) } })
  }
  for (const tag of previous?.targets.keys() ?? []) if (!next.targets.has(tag)) changes.push({ tag })
  return changes
}

/** The digest that a target stands for, in the form image references use. */
function digestOf({ hashes }: TargetFile): string | undefined {
  const sha256 = hashes.get('sha256')
  if (sha256 !== undefined) return `sha256:${sha256}`
  const sha512 = hashes.get('sha512')
  return sha512 === undefined ? undefined : `sha512:${sha512}`
}

/** What a delegator says otherwise than before of the roles below it. Hash bins are under its keys or their own. */
export function delegationChanges(previous: Targets | undefined, next: Targets): readonly DelegationChange[] {
  const [before, after] = [entriesOf(previous?.delegations), entriesOf(next.delegations)]
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((role) => {
    const [old, entry] = [before.get(role), after.get(role)]
    if (JSON.stringify(old) === JSON.stringify(entry)) return []
    return [{ role, ...(old === undefined ? {} : { before: old }), ...(entry === undefined ? {} : { entry }) }]
  })
}

/** The roles below it as they were asked before, where one of them left, or they are asked in another order now. */
export function orderBefore(previous: Targets | undefined, next: Targets): readonly string[] | undefined {
  const [before, after] = [namesIn(previous), namesIn(next)]
  const known = new Set(before)
  const isSame = JSON.stringify(after.filter((name) => known.has(name))) === JSON.stringify(before)
  return isSame ? undefined : before
}

function namesIn(file: Targets | undefined): readonly string[] {
  return file?.delegations?.roles.map(({ name }) => name) ?? []
}

function entriesOf(delegations: Delegations | undefined): ReadonlyMap<string, DelegationEntry> {
  const entries = new Map<string, DelegationEntry>()
  if (delegations === undefined) return entries
  const keysOf = ({ keyids }: RoleKeys) =>
    keyids.flatMap((id) => {
      const key = delegations.keys.get(id)
      return key === undefined ? [] : [{ keytype: key.keytype, scheme: key.scheme, public: key.public }]
    })
  for (const role of delegations.roles) {
    const { name, scope, threshold, terminating } = role
    const patterns = scope.kind === 'paths' ? scope.paths : scope.prefixes
    entries.set(name, { keys: keysOf(role), threshold, scope: { kind: scope.kind, patterns }, terminating })
  }
  const { succinct } = delegations
  if (succinct !== undefined) {
    const scope = { kind: 'bins', patterns: [`${succinct.namePrefix}-${succinct.bitLength}`] }
    const { threshold } = succinct
    entries.set(`${succinct.namePrefix}-*`, { keys: keysOf(succinct), threshold, scope, terminating: true })
  }
  return entries
}

function sameMeaning(before: TargetFile | undefined, target: TargetFile): boolean {
  return before !== undefined && isSameTarget(before, target)
}

/**
 * Throws TrustError for names that other implementations, URLs or file systems would read otherwise, and for targets
 * that nobody could check. What was published before is not looked at again.
 */
export function refuseUnwritable(previous: Targets | undefined, next: Targets): void {
  for (const path of next.targets.keys()) if (previous?.targets.has(path) !== true) refuseTargetPath(path)
  refuseUncheckable(previous, next)
  if (next.delegations !== undefined) refuseDelegations(previous?.delegations, next.delegations)
}

const HEX_LENGTH: ReadonlyMap<string, number> = new Map([
  ['sha256', 64],
  ['sha512', 128],
])

/** Throws TrustError for targets that nobody could check. */
export function refuseUncheckable(previous: Targets | undefined, next: Targets): void {
  for (const [path, target] of next.targets) {
    if (!sameMeaning(previous?.targets.get(path), target)) refuseHashes(path, target.hashes)
  }
}

function refuseHashes(what: string, hashes: Hashes): void {
  for (const [name, length] of HEX_LENGTH) {
    const hex = hashes.get(name)
    if (hex !== undefined && hex.length !== length) {
      throw new TrustError('MALFORMED', { what: `${what}: ${name}`, got: `${hex.length} hex digits` })
    }
  }
  if (![...HEX_LENGTH.keys()].some((name) => hashes.has(name))) {
    throw new TrustError('NO_KNOWN_HASH', { what, algorithms: [...hashes.keys()].join(', ') })
  }
}

function refuseDelegations(previous: Delegations | undefined, next: Delegations): void {
  const before = new Map(previous?.roles.map((role) => [role.name, role]))
  for (const role of next.roles) {
    if (!before.has(role.name)) newRoleName(role.name)
    refusePatterns(before.get(role.name), role)
  }
  if (next.succinct !== undefined) newRoleName(`${next.succinct.namePrefix}-0`)
}

function refusePatterns(previous: DelegatedRole | undefined, { scope }: DelegatedRole): void {
  if (scope.kind !== 'paths') return
  const before = new Set(previous?.scope.kind === 'paths' ? previous.scope.paths : [])
  for (const pattern of scope.paths) if (!before.has(pattern)) refusePattern(pattern)
}
