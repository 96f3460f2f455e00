/**
 * What a next file changes, computed from it and from the published one. Everything that it changes is in the answer,
 * or it is refused: the file is made again from what is told, and must come out the same.
 */
import type { Codec, DelegatedRole, Delegations, PublicKey, RoleName, TargetFile, Targets } from '../../tuf/index.ts'
import { customsOf } from '../publish/customs.ts'
import { isDigest } from '../registry/digest.ts'
import { digestOf } from '../trust/repository.ts'

/** What a tag means in one role, before and after. */
export type TagChange = {
  readonly tag: string
  readonly before: string | undefined
  readonly after: { readonly digest: string; readonly length: number } | undefined
}
/** A role as its delegator has it, before and after. */
export type DelegationChange = {
  readonly role: string
  readonly before: DelegatedRole | undefined
  readonly after: DelegatedRole | undefined
}
export type FileChanges = {
  readonly role: RoleName
  /** undefined for a role that publishes for the first time. */
  readonly from: number | undefined
  readonly version: number
  readonly expires: number
  readonly tags: readonly TagChange[]
  readonly delegations: readonly DelegationChange[]
  /** The roles that were there before, in the order in which they are asked now, where that is another. */
  readonly order: readonly string[] | undefined
  /** Hash bins that appear, or whose keys or number become others. */
  readonly bins: Delegations['succinct']
}

export type Subject = {
  readonly role: RoleName
  readonly published: Targets | undefined
  readonly next: Targets
  /** The bytes that are signed. */
  readonly payload: Uint8Array
  readonly repository: string
  readonly codec: Codec
  /** Throws for a file with something in it that nobody would be shown. */
  readonly refuse: (why: string) => never
}

export function changesOf(subject: Subject): FileChanges {
  const { role, published, next } = subject
  const tags = tagChanges(subject)
  const delegations = delegationChanges(subject)
  refuseHidden(subject)
  return {
    role,
    from: published?.version,
    version: next.version,
    expires: next.expires,
    tags,
    delegations,
    order: otherOrder(published?.delegations, next.delegations),
    bins: binsThatChange(published?.delegations, next.delegations),
  }
}

function tagChanges({ published, next, refuse }: Subject): readonly TagChange[] {
  const changes: TagChange[] = []
  for (const [tag, target] of next.targets) {
    const old = published?.targets.get(tag)
    if (old !== undefined && textOfTarget(old) === textOfTarget(target)) continue
    changes.push({ tag, before: old && digestOf({ path: tag, target: old }), after: plainTarget(tag, target, refuse) })
  }
  for (const [tag, target] of published?.targets ?? []) {
    if (!next.targets.has(tag)) changes.push({ tag, before: digestOf({ path: tag, target }), after: undefined })
  }
  return changes.toSorted((a, b) => (a.tag < b.tag ? -1 : 1))
}

/** As `sign` writes it: one digest and a length. */
function plainTarget(tag: string, target: TargetFile, refuse: Subject['refuse']) {
  const digest = digestOf({ path: tag, target })
  const plain = target.hashes.size === 1 && target.custom === undefined && target.unknown.size === 0
  if (!plain || !isDigest(digest)) return refuse(`${tag} says more, or less, than a digest and a length`)
  return { digest, length: target.length }
}

function delegationChanges({ published, next, refuse }: Subject): readonly DelegationChange[] {
  const before = new Map(published?.delegations?.roles.map((each) => [each.name, each]))
  const after = new Map(next.delegations?.roles.map((each) => [each.name, each]))
  const changes: DelegationChange[] = []
  for (const [name, role] of after) {
    const old = before.get(name)
    if (textOf(inOrder(role.unknown)) !== textOf(inOrder(old?.unknown ?? NOTHING)))
      refuse(`${name} has members that nobody knows`)
    if (old === undefined || textOfRole(old) !== textOfRole(role))
      changes.push({ role: name, before: old, after: role })
  }
  for (const [name, old] of before) if (!after.has(name)) changes.push({ role: name, before: old, after: undefined })
  return changes
}

/** Two roles that change places change who is asked first about a tag. */
function otherOrder(before: Delegations | undefined, after: Delegations | undefined): readonly string[] | undefined {
  const names = (list: Delegations | undefined, other: Delegations | undefined) =>
    (list?.roles ?? []).map(({ name }) => name).filter((name) => other?.roles.some((role) => role.name === name))
  const [old, now] = [names(before, after), names(after, before)]
  return textOf(old) === textOf(now) ? undefined : now
}

function binsThatChange(before: Delegations | undefined, after: Delegations | undefined): Delegations['succinct'] {
  const text = (list: Delegations | undefined) =>
    list?.succinct && textOf([list.succinct.bitLength, list.succinct.namePrefix, textOfKeys(list.succinct)])
  return text(before) === text(after) ? undefined : after?.succinct
}

/** Made again from the published file and what is shown of the next one: any other difference is one nobody would see. */
function refuseHidden({ published, next, payload, repository, codec, refuse, role }: Subject): void {
  const naming = customsOf(codec).naming(published?.unknown ?? new Map(), repository)
  refuseHiddenDelegations(published?.delegations, next.delegations, refuse)
  const told: Targets = {
    type: 'targets',
    ...(published?.specVersion === undefined ? {} : { specVersion: published.specVersion }),
    version: next.version,
    expires: next.expires,
    expiresText: codec.date(next.expires),
    unknown: naming,
    targets: next.targets,
    ...(next.delegations === undefined ? {} : { delegations: next.delegations }),
  }
  if (Buffer.compare(codec.encode(told), payload) !== 0) refuse(`${role} has members that nobody would be shown`)
}

function refuseHiddenDelegations(
  before: Delegations | undefined,
  after: Delegations | undefined,
  refuse: Subject['refuse'],
): void {
  if (before?.succinct !== undefined && after?.succinct === undefined) refuse('it takes the hash bins away')
  if (after === undefined) return
  const used = new Set(
    [...after.roles, ...(after.succinct === undefined ? [] : [after.succinct])].flatMap((each) => each.keyids),
  )
  for (const [id, key] of after.keys) {
    if (!used.has(id)) refuse(`its delegations list the key ${id}, which no role has`)
    if (isOdd(key) && before?.keys.has(id) !== true) refuse(`the key ${id} has members that nobody knows`)
  }
  const unknown = (list: Delegations | undefined) =>
    textOf([inOrder(list?.unknown ?? NOTHING), inOrder(list?.succinct?.unknown ?? NOTHING)])
  if (unknown(before) !== unknown(after)) refuse('its delegations have members that nobody knows')
}

const NOTHING: ReadonlyMap<string, unknown> = new Map()

function isOdd({ unknown, unknownKeyval }: PublicKey): boolean {
  return unknown.size > 0 || unknownKeyval.size > 0
}

function textOfTarget({ length, hashes, custom, unknown }: TargetFile): string {
  return textOf([length, inOrder(hashes), custom ?? null, inOrder(unknown)])
}

function inOrder<V>(members: ReadonlyMap<string, V>): readonly (readonly [string, V])[] {
  return [...members].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function textOfRole({ scope, terminating, ...keys }: DelegatedRole): string {
  return textOf([textOfKeys(keys), scope, terminating])
}

function textOfKeys({ keyids, threshold }: Pick<DelegatedRole, 'keyids' | 'threshold'>): string {
  return textOf([threshold, keyids])
}

function textOf(value: unknown): string {
  return JSON.stringify(value)
}

/** Tags that mean the same after as before, in another role: how a large repository comes by its bins. */
export function movesIn(
  files: readonly FileChanges[],
): ReadonlyMap<string, { readonly from: string; readonly to: string }> {
  const left = new Map<string, { readonly role: string; readonly digest: string | undefined }>()
  for (const { role, tags } of files) {
    for (const { tag, before, after } of tags) if (after === undefined) left.set(tag, { role, digest: before })
  }
  const moves = new Map<string, { readonly from: string; readonly to: string }>()
  for (const { role, tags } of files) {
    for (const { tag, before, after } of tags) {
      const from = left.get(tag)
      if (before === undefined && after !== undefined && from?.digest === after.digest) {
        moves.set(tag, { from: from.role, to: role })
      }
    }
  }
  return moves
}

/** The digests that tags would come to mean. */
export function newDigests(
  files: readonly FileChanges[],
): ReadonlyMap<string, { readonly tag: string; readonly length: number }> {
  const moves = movesIn(files)
  const digests = new Map<string, { readonly tag: string; readonly length: number }>()
  for (const { tag, after } of files.flatMap(({ tags }) => tags)) {
    if (after !== undefined && !moves.has(tag)) digests.set(after.digest, { tag, length: after.length })
  }
  return digests
}
