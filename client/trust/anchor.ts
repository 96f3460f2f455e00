import { hash } from '../../keys/digest.ts'
import {
  certificatesOf,
  codecOf,
  DEFAULT_LIMITS,
  isVouchedFor,
  openRoot,
  refuseHashes,
  ROOT,
  rootFile,
  signersOf,
  threshold,
} from '../../tuf/index.ts'
import type { Authority, Judge, WalkingRoot } from '../../tuf/index.ts'
import { ClientError } from './errors.ts'
import { fetchNeeded, fetchNext } from './mirrors.ts'
import type { Accepted, Sources, Wish } from './mirrors.ts'
import type { Pin } from './pins.ts'

/** Whose word the first root is taken on: a pin, or the root that somebody already put into the cache. */
export type Anchor = Pin | { readonly kind: 'stored' }

/**
 * The repository that every root must name. Where the pin says keys, one root could stand for any repository that the
 * same keys made, so the name is required; where it is one root file for one repository, an absent name is no danger.
 */
export type NamePolicy = { readonly repository: string; readonly required: boolean }

/** What every step judges by but the dialect, which the first root tells. */
export type Seat = Omit<Judge, 'codec'>

/** Opens a root as the dialect has it that it is written in. Limits that nobody changed are the dialect's own. */
export function openAnyRoot(seat: Seat, bytes: Uint8Array): WalkingRoot {
  const codec = codecOf(bytes, seat.limits)
  const { timestamp = DEFAULT_LIMITS.timestamp } = codec.limits
  const isUsual = seat.limits.timestamp === DEFAULT_LIMITS.timestamp
  return openRoot({ ...seat, codec, limits: isUsual ? { ...seat.limits, timestamp } : seat.limits }, bytes)
}

/** The same text for the same pin. */
export function fingerprint(anchor: Anchor): string {
  if (anchor.kind === 'root') return `root ${hash('sha256', anchor.bytes)}`
  if (anchor.kind === 'ca') return `ca ${hash('sha256', anchor.bytes)}`
  if (anchor.kind === 'keys') return `keys ${anchor.threshold} ${anchor.keyids.toSorted().join(' ')}`
  return anchor.kind
}

/** Throws REPOSITORY_MISMATCH where a root belongs elsewhere. Gives the state back, for use within an acceptance. */
export function refuseOtherRepository<T extends WalkingRoot>(trust: T, policy: NamePolicy | undefined): T {
  if (policy === undefined) return trust
  const named = trust.codec.repositoryOf(trust.root, trust)
  if (named === policy.repository || (named === undefined && !policy.required)) return trust
  throw new ClientError('REPOSITORY_MISMATCH', { repository: policy.repository, named })
}

type StartOptions = {
  readonly judge: Seat
  readonly source: Sources
  readonly name: NamePolicy | undefined
  readonly signal: AbortSignal | undefined
  /** The root that first use already settled on, where its file is lost: another one is none to start from. */
  readonly known?: KnownRoot | undefined
}

/** `hash` is the sha256 of its file. */
export type KnownRoot = { readonly version: number; readonly hash: string }

/** The root to start from where none was kept. Key pins and first use ask the network for the newest. */
export async function startFrom(anchor: Anchor, options: StartOptions): Promise<Accepted<WalkingRoot>> {
  switch (anchor.kind) {
    case 'root':
      return { bytes: anchor.bytes, value: openNamed(options, anchor.bytes) }
    case 'keys':
    case 'ca':
      return await startFromVoucher(anchor, options)
    case 'tofu':
      return options.known === undefined ? await newestRoot(options) : await knownRoot(options, options.known)
    case 'stored':
      throw new ClientError('NO_TRUST_DATA', { repository: nameOf(options), file: 'root.json in the cache' })
    default:
      return anchor satisfies never
  }
}

/**
 * Any root that enough of the pinned keys signed, or that the pinned authority vouches for, is as good a start as another: from there on the chain decides.
 * The newest is tried first; where the pinned keys left the root since, an older one carries their signatures.
 */
async function startFromVoucher(pin: Voucher, options: StartOptions): Promise<Accepted<WalkingRoot>> {
  const newest = await newestRoot(options)
  if (meets(pin, newest)) return newest
  const most = Math.min(options.judge.limits.rootRotations, newest.value.root.version - 1)
  for (let version = 1; version <= most; version++) {
    const root = await fetchNext(options.source, wishFor(rootFile(version), options))
    if (root !== undefined && meets(pin, root)) return root
  }
  const need = pin.kind === 'keys' ? pin.threshold : 0
  const [key, ...more] = pin.kind === 'keys' ? pin.keyids : []
  const only = key === undefined || more.length > 0 ? {} : { key }
  throw new ClientError('PIN_NOT_MET', { repository: nameOf(options), need, searched: most + 1, ...only })
}

type Voucher = Extract<Pin, { readonly kind: 'keys' | 'ca' }>

/** Distinct keys that the pin speaks for, with a valid signature over this root. */
export function meets(pin: Voucher, { bytes, value }: Accepted<WalkingRoot>): boolean {
  const authority = pin.kind === 'keys' ? pinnedKeys(pin, value) : vouchedKeys(pin, value)
  const signed = value.codec.decode('root', bytes, value)
  return signersOf(authority, signed, value.suite).size >= authority.role.threshold
}

/** The root's list of keys only supplies what the pinned ids name. */
function pinnedKeys(pin: Extract<Pin, { readonly kind: 'keys' }>, { root, codec, suite }: WalkingRoot): Authority {
  const pinned = new Set(pin.keyids)
  const keyids = [...root.keys.values()]
    .filter((key) => codec.keyNames(key, suite).some((id) => pinned.has(id)))
    .map(({ id }) => id)
  return { name: ROOT, role: { keyids, threshold: threshold(pin.threshold), unknown: new Map() }, keys: root.keys }
}

/** Those of the root's own keys whose certificates the pinned authority issued, as many as the root itself asks for. */
function vouchedKeys({ bytes }: Extract<Pin, { readonly kind: 'ca' }>, trust: WalkingRoot): Authority {
  const { codec, root, suite, now } = trust
  const own = codec.rootAuthority(root, trust)
  const anchors = suite.certificates(bytes) ?? []
  const keyids = own.role.keyids.filter((id) => {
    const key = own.keys.get(id)
    return key !== undefined && isVouchedFor(certificatesOf(key, suite) ?? [], anchors, now)
  })
  return { ...own, role: { ...own.role, keyids } }
}

async function newestRoot(options: StartOptions): Promise<Accepted<WalkingRoot>> {
  const newest = await fetchNeeded(options.source, wishFor('root.json', options))
  if (newest !== undefined) return newest
  throw new ClientError('NO_TRUST_DATA', { repository: nameOf(options), file: 'root.json' })
}

/** What was trusted once is asked for again; who answers with something else was not there first. */
async function knownRoot(options: StartOptions, { version, hash: sha256 }: KnownRoot): Promise<Accepted<WalkingRoot>> {
  const wish = wishFor(rootFile(version), options)
  const accept = (bytes: Uint8Array) => {
    refuseHashes(ROOT, new Map([['sha256', sha256]]), (algorithm) => hash(algorithm, bytes))
    return wish.accept(bytes)
  }
  const found = await fetchNeeded(options.source, { ...wish, accept })
  if (found !== undefined) return found
  throw new ClientError('NO_TRUST_DATA', { repository: nameOf(options), file: wish.file.name })
}

/** A root is signed by itself, and is for this repository, before anything else is asked of it. */
function wishFor(name: string, options: StartOptions): Wish<WalkingRoot> {
  const file = { name, maxBytes: options.judge.limits.root }
  return { file, accept: (bytes) => openNamed(options, bytes), signal: options.signal }
}

function openNamed({ judge, name }: StartOptions, bytes: Uint8Array): WalkingRoot {
  return refuseOtherRepository(openAnyRoot(judge, bytes), name)
}

function nameOf({ name }: StartOptions): string {
  return name?.repository ?? 'this repository'
}
