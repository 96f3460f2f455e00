/**
 * Everything that an old server has of a repository, verified under a pin. As strict as a client, but for expiry: what
 * has expired is its signers' business, so it moves as it is, and they are told.
 */
import {
  acceptDelegated,
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  codecOf,
  DEFAULT_LIMITS,
  finishRoot,
  instant,
  listedRoles,
  openRoot,
  regardlessOfExpiry,
  rootFile,
  snapshotFile,
  TARGETS,
  targetsFile,
  timestampFile,
} from '../../tuf/index.ts'
import type {
  AfterTargets,
  Judge,
  RoleName,
  Suite,
  Targets,
  Verified,
  WalkingRoot,
  WantedFile,
} from '../../tuf/index.ts'
import { ClientError } from '../trust/errors.ts'
import type { MetadataSource } from '../trust/fetch.ts'
import { MovingError } from './errors.ts'
import { refuseUnpinned } from './pin.ts'
import type { MovingPin } from './pin.ts'

/** The files as they came, for they are stored and served untouched. */
export type OldState = {
  readonly trust: AfterTargets
  /** By version, without a gap up to the newest. */
  readonly roots: ReadonlyMap<number, Uint8Array>
  readonly timestamp: Uint8Array
  readonly snapshot: Uint8Array
  /** `targets`, then the delegated roles that somebody signed. */
  readonly targets: ReadonlyMap<RoleName, Uint8Array>
  /** Their bodies. */
  readonly roles: ReadonlyMap<RoleName, Verified<Targets>>
  /** Roles that somebody delegated to and nobody signed. */
  readonly unsigned: readonly RoleName[]
}

export type CollectOptions = {
  readonly repository: string
  readonly source: MetadataSource
  readonly suite: Suite
  readonly pin: MovingPin
  readonly now: number
  readonly signal: AbortSignal
}

const MOST_ROLES = 10_000

/** Throws MovingError, ClientError and TrustError; a part of a repository is never given. */
export async function collect(options: CollectOptions): Promise<OldState> {
  const { source, suite, now, signal } = options
  const newest = await demand(options, { name: 'root.json', maxBytes: DEFAULT_LIMITS.root })
  const codec = codecOf(newest, DEFAULT_LIMITS)
  if (codec.dialect !== 'notary-v1') throw new MovingError('NOT_NOTARY', { repository: options.repository })
  const limits = { ...DEFAULT_LIMITS, ...codec.limits }
  const judge: Judge = { codec, suite, limits, now: instant(now), repository: options.repository }
  const roots = await collectRoots(source, judge, newest, signal)
  const root = walk(options, judge, roots)
  const timestamp = await demand(options, { name: timestampFile(), maxBytes: limits.timestamp })
  const afterTimestamp = acceptTimestamp({ ...finishRoot(regardlessOfExpiry(root)), now: judge.now }, timestamp)
  const snapshot = await demand(options, snapshotFile(afterTimestamp))
  const afterSnapshot = acceptSnapshot(afterTimestamp, snapshot)
  const top = await demand(options, targetsFile(afterSnapshot, TARGETS))
  const trust = { ...acceptTargets(regardlessOfExpiry(afterSnapshot), top), now: judge.now }
  return { trust, roots, timestamp, snapshot, ...(await collectRoles(options, trust, top)) }
}

/** From the first that is still there. Old servers keep all of them; one that does not has cut nobody's chain but its own. */
async function collectRoots(
  source: MetadataSource,
  judge: Judge,
  newest: Uint8Array,
  signal: AbortSignal,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const { version } = judge.codec.decode('root', newest, judge).body
  if (version > judge.limits.rootRotations) throw new MovingError('TOO_MANY_ROOTS', { version })
  const roots = new Map<number, Uint8Array>([[version, newest]])
  for (let older = version - 1; older >= 1; older--) {
    const bytes = await source.get(rootFile(older), judge.limits.root, signal)
    if (bytes === undefined) break
    roots.set(older, bytes)
  }
  return new Map([...roots].toSorted(([a], [b]) => a - b))
}

/** The chain from the first root on; and from the one that the pin means on, in which nothing is taken on trust. */
function walk({ pin, repository }: CollectOptions, judge: Judge, roots: ReadonlyMap<number, Uint8Array>): WalkingRoot {
  let trust: WalkingRoot | undefined
  let isPinned = false
  for (const bytes of roots.values()) {
    trust = trust === undefined ? openRoot(judge, bytes) : acceptRoot(trust, bytes)
    isPinned ||= pin.meets(trust, bytes)
  }
  return refuseUnpinned(repository, pin, trust, isPinned)
}

type Roles = Pick<OldState, 'targets' | 'roles' | 'unsigned'>

async function collectRoles(options: CollectOptions, trust: AfterTargets, top: Uint8Array): Promise<Roles> {
  const targets = new Map<RoleName, Uint8Array>([[TARGETS, top]])
  const roles = new Map<RoleName, Verified<Targets>>([[TARGETS, trust.targets]])
  const unsigned: RoleName[] = []
  for (const delegator of roles.values()) {
    for (const { name } of listedRoles(delegator)) {
      if (roles.has(name)) continue
      if (roles.size === MOST_ROLES)
        throw new MovingError('TOO_MANY_ROLES', { repository: options.repository, limit: MOST_ROLES })
      if (!trust.snapshot.meta.has(name)) {
        unsigned.push(name)
        continue
      }
      const bytes = await demand(options, targetsFile(trust, name))
      roles.set(name, acceptDelegated(regardlessOfExpiry(trust), name, delegator, bytes))
      targets.set(name, bytes)
    }
  }
  return { targets, roles, unsigned }
}

async function demand(
  { source, repository, signal }: CollectOptions,
  { name, maxBytes }: WantedFile,
): Promise<Uint8Array> {
  const bytes = await source.get(name, maxBytes, signal)
  if (bytes === undefined) throw new ClientError('NO_TRUST_DATA', { repository, file: name, moving: true })
  return bytes
}
