import { hash } from '../../keys/digest.ts'
import { onlineKeys, TARGETS, TrustError } from '../../tuf/index.ts'
import type {
  AfterSnapshot,
  AfterTargets,
  AfterTimestamp,
  Authority,
  Instant,
  Root,
  Snapshot,
  Targets,
} from '../../tuf/index.ts'
import type { KnownRoot } from './anchor.ts'
import { PUBLISHED, SEEN, topLevelName } from './cache.ts'
import type { TrustCache } from './cache.ts'
import { ClientError } from './errors.ts'
import { decodeSeen, encodeSeen, isBehind, mergeSeen, nothingSeen } from './seen.ts'
import type { Seen } from './seen.ts'

/** Clocks are corrected by minutes now and then. A timestamp lives for a day, so five of them give nothing away. */
const TOLERANCE_MS = 5 * 60_000
/** The passing of time alone is written down once a minute: well within the tolerance. */
const TIME_STEP_MS = 60_000

/** What the end of the root chain says of what was seen: it counts, or its versions do not, or nothing of it does. */
export type Verdict = 'same keys' | 'other keys' | 'other chain'

/**
 * What was seen, kept apart from the cached files: one that is deleted or damaged costs a download and never brings an
 * old version back. Versions hold under the online keys they were seen with; other keys start anew (5.3.11).
 *
 * Time is recorded only together with a timestamp that was fresh then. A clock that runs years ahead finds every
 * timestamp expired, so it leaves no mark that would lock this machine out once it is put right (ADR 0014).
 */
export type SeenRecord = {
  /** The pin under which the cached root was stored; undefined where nothing tells. */
  readonly anchor: string | undefined
  /** The newest root that was seen under the pin in force. */
  readonly known: KnownRoot | undefined
  /** The record itself was unreadable: what the cached files say is all that is left. */
  readonly damaged: boolean
  /** Throws CLOCK_WENT_BACK where it is `tolerance` milliseconds, and more, earlier than it was. */
  readonly refuseClockBack: (now: Instant, tolerance?: number) => void
  /**
   * Before the first root under another pin is stored: takes the old pin's root away, and writes down whose word counts
   * now. What was seen stays until the new chain tells whether it is the same, however often that is tried in vain.
   */
  readonly startAnew: () => Promise<void>
  /** Every link of the chain, from the start to the end. */
  readonly sawRoot: (root: Root, bytes: Uint8Array) => void
  /** The chain's end: whether what was seen before still counts. Throws ROLLBACK where the chain became shorter. */
  readonly settleRoot: (root: Root) => Verdict
  /** Both throw ROLLBACK or ROLE_DISAPPEARED where less is shown than was seen; else they give the state back. */
  readonly sawTimestamp: (trust: AfterTimestamp) => AfterTimestamp
  readonly sawSnapshot: (trust: AfterSnapshot) => AfterSnapshot
  /** For a dialect whose snapshot lists no versions. Throws ROLLBACK. */
  readonly sawTargets: (trust: AfterTargets) => AfterTargets
  readonly save: () => Promise<void>
}

/** `anchor` is the fingerprint of the pin in force. */
export async function openRecord(cache: TrustCache, anchor: string): Promise<SeenRecord> {
  const bytes = await cache.load(SEEN)
  const before = bytes && decodeSeen(bytes)
  const time = before?.time ?? 0
  const links: { readonly version: number; readonly hash: string }[] = []
  /** Until the chain's end is known, a run under another pin has nothing to say of what was seen. */
  let settled = before === undefined || before.under === anchor
  let forgets = false
  /** What counts in this run; and what will be written after it. */
  let marks = settled && before !== undefined ? before : { ...nothingSeen(anchor), time }
  let mine = marks

  return {
    anchor: before?.anchor,
    known: before?.under === anchor && before.root > 0 ? { version: before.root, hash: before.rootHash } : undefined,
    damaged: bytes !== undefined && before === undefined,
    refuseClockBack(now, tolerance = TOLERANCE_MS) {
      if (now < time - tolerance) throw new ClientError('CLOCK_WENT_BACK', { now, seen: time })
    },
    async startAnew() {
      if (before?.anchor === anchor) return
      await cache.drop(topLevelName('root'))
      await store(cache, { ...(before ?? nothingSeen(anchor)), anchor })
    },
    sawRoot(root, file) {
      const link = { version: root.version, hash: hash('sha256', file) }
      links.push(link)
      mine = { ...mine, root: link.version, rootHash: link.hash }
    },
    settleRoot(root) {
      const online = onlineKeys(root)
      const verdict = judge(before, online)
      marks = verdict === 'same keys' && before !== undefined ? before : { ...nothingSeen(anchor), time }
      if (verdict !== 'other chain') refuseOlder('root', before?.root ?? 0, root.version)
      mine = { ...marks, anchor, under: anchor, online, root: mine.root, rootHash: mine.rootHash }
      settled = true
      forgets = verdict === 'other chain'
      return verdict
    },
    sawTimestamp(trust) {
      const { timestamp, now } = trust
      refuseOlder('timestamp', marks.timestamp, timestamp.version)
      // A dialect that lists no version for the snapshot has its hash listed instead.
      refuseOlder('snapshot', marks.snapshot, timestamp.snapshot.version ?? marks.snapshot)
      mine = { ...mine, timestamp: timestamp.version, time: Math.max(mine.time, now) }
      return trust
    },
    sawSnapshot(trust) {
      const listed = versionsOf(trust.snapshot)
      refuseOlderRoles(marks.listed, listed)
      mine = { ...mine, snapshot: trust.snapshot.version, listed }
      return trust
    },
    sawTargets(trust) {
      const { targets, root, snapshot } = trust
      if (snapshot.meta.get(TARGETS)?.version !== undefined) return trust
      const keys = root.roles.get(TARGETS)?.keyids.toSorted().join(',') ?? ''
      if (marks.targets?.keys === keys) refuseOlder(TARGETS, marks.targets.version, targets.version)
      mine = { ...mine, targets: { keys, version: targets.version } }
      return trust
    },
    async save() {
      if (settled && isNews(before, mine)) await store(cache, mine, forgets)
    },
  }

  function judge(seen: Seen | undefined, online: string): Verdict {
    if (seen === undefined) return 'same keys'
    if (!continues(seen, online)) return 'other chain'
    // No keys: of a run that ended before it knew more than whom to trust.
    return seen.online === online || seen.online === '' ? 'same keys' : 'other keys'
  }

  /** Whether the chain just walked is the one that was seen: same pin, or it has that link, or it goes on from it. */
  function continues(seen: Seen, online: string): boolean {
    if (seen.under === anchor || links.some((link) => link.hash === seen.rootHash)) return true
    const start = links[0]?.version ?? 0
    return start > seen.root && seen.online === online
  }
}

/**
 * Of a delegated role whose version the snapshot does not list: throws ROLLBACK where it went back behind what was seen
 * under the same keys, also when its cached file is gone.
 */
export async function sawDelegated(cache: TrustCache, { name, role }: Authority, { version }: Targets): Promise<void> {
  const bytes = await cache.load(SEEN)
  const seen = bytes && decodeSeen(bytes)
  if (seen === undefined) return // a record is made by a refresh, and this was a look at the cache
  const keys = role.keyids.toSorted().join(',')
  const before = seen.delegated?.get(name)
  if (before?.keys === keys) refuseOlder(name, before.version, version)
  if (before?.keys === keys && before.version === version) return
  await store(cache, { ...seen, delegated: new Map([[name, { keys, version }]]) })
}

/**
 * Adds this run to what is on the disk, where another process may have been faster. Where it `forgets`, what is there of
 * another chain is none of its past.
 */
async function store(cache: TrustCache, mine: Seen, forgets = false): Promise<void> {
  await cache.lock(async () => {
    const bytes = await cache.load(SEEN)
    const found = bytes && decodeSeen(bytes)
    const disk =
      found && forgets && found.under !== mine.under ? { ...nothingSeen(mine.under), time: found.time } : found
    if (disk !== undefined && disk.online !== mine.online && isBehind(mine, disk)) await dropOnline(cache)
    await cache.store(SEEN, encodeSeen(disk === undefined ? mine : mergeSeen(disk, mine)))
  })
}

/** The two files whose versions an online key's thief could have driven up (5.3.11). */
export async function dropOnline(cache: TrustCache): Promise<void> {
  await cache.drop(topLevelName('timestamp'))
  await cache.drop(topLevelName('snapshot'))
  await cache.drop(PUBLISHED) // it holds both as well
}

function isNews(before: Seen | undefined, mine: Seen): boolean {
  if (before === undefined) return mine.root > 0
  if (mine.time - before.time >= TIME_STEP_MS) return true
  const told = ['anchor', 'under', 'rootHash', 'online', 'timestamp', 'snapshot'] as const
  return told.some((name) => before[name] !== mine[name])
}

function versionsOf({ meta }: Snapshot): ReadonlyMap<string, number> {
  const versions = new Map<string, number>()
  for (const [role, { version }] of meta) if (version !== undefined) versions.set(role, version)
  return versions
}

/** As specification 5.5.5 asks of the previous snapshot, for the case that its file is gone. */
function refuseOlderRoles(seen: ReadonlyMap<string, number>, got: ReadonlyMap<string, number>): void {
  for (const [role, trusted] of seen) {
    const version = got.get(role)
    if (version === undefined) throw new TrustError('ROLE_DISAPPEARED', { role, trusted })
    refuseOlder(role, trusted, version)
  }
}

function refuseOlder(role: string, trusted: number, got: number): void {
  if (got < trusted) throw new TrustError('ROLLBACK', { role, trusted, got })
}
