import {
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  finishRoot,
  isTrustError,
  refuseSilenced,
  ROOT,
  regardlessOfExpiry,
  rootFile,
  snapshotFile,
  stillTrusted,
  TARGETS,
  targetsFile,
  timestampFile,
} from '../../tuf/index.ts'
import type {
  AfterRoot,
  AfterSnapshot,
  AfterTargets,
  AfterTimestamp,
  Judge,
  Snapshot,
  TopRole,
  Verified,
  WalkingRoot,
  WantedFile,
} from '../../tuf/index.ts'
import { fingerprint, openAnyRoot, refuseOtherRepository, startFrom } from './anchor.ts'
import type { Anchor, NamePolicy, Seat } from './anchor.ts'
import { topLevelName } from './cache.ts'
import type { TrustCache } from './cache.ts'
import { ClientError, isClientError } from './errors.ts'
import { fetchNeeded, fetchNext } from './mirrors.ts'
import type { Accepted, Sources } from './mirrors.ts'
import { dropOnline, openRecord } from './record.ts'
import type { SeenRecord, Verdict } from './record.ts'

export type RefreshOptions = {
  /** Its `now` is the one instant that this refresh judges by (5.1). */
  readonly judge: Seat
  readonly source: Sources
  readonly cache: TrustCache
  readonly anchor: Anchor
  readonly name?: NamePolicy | undefined
  /**
   * For whoever publishes over what expired: all but the timestamp may have expired, or a mirror that stands still could
   * have an old state signed anew. A fresh timestamp names the very snapshot, whoever is to renew that.
   */
  readonly toPublish?: boolean | undefined
  /** How far the clock may have gone back, in milliseconds; five minutes where nothing is said. */
  readonly clockTolerance?: number | undefined
  /** Writes down nothing of what it saw: for a look at what this machine has already. */
  readonly unrecorded?: boolean | undefined
  /** Told what a person should know although the refresh goes on. */
  readonly warn?: ((warning: Warning) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export type Warning = { readonly code: 'RECORD_DAMAGED'; readonly message: string }

/** What a refresh ends with: the state, and the very bytes it was made from. */
export type Refreshed = AfterTargets & { readonly files: ReadonlyMap<TopRole, Uint8Array> }

/**
 * The client workflow of the specification (5.2 to 5.6.6). Each file is stored as soon as it is trusted, and a refused
 * one leaves the one before. Requests come one after the other in the order of the specification, and only for what
 * the cache does not have.
 */
export async function refresh(options: RefreshOptions): Promise<Refreshed> {
  try {
    return await walk(options)
  } catch (error) {
    if (!isAboutRoot(error)) throw error
    return await walk(options) // somebody published a root between our requests, and the snapshot lists that one
  }
}

function isAboutRoot(error: unknown): boolean {
  return isTrustError(error) && error.code === 'HASH_MISMATCH' && error.detail.what === ROOT
}

async function walk(options: RefreshOptions): Promise<Refreshed> {
  const record = await openRecord(options.cache, fingerprint(options.anchor))
  record.refuseClockBack(options.judge.now, options.clockTolerance)
  if (record.damaged) options.warn?.(damaged(options.cache))
  const run: Run = { ...options, record, kept: await loadKept(options.cache), files: new Map() }
  try {
    const trust = await updateTargets(run, await updateSnapshot(run, await updateTimestamp(run, await updateRoot(run))))
    if (options.unrecorded !== true) await record.save()
    return { ...trust, files: run.files }
  } catch (error) {
    await saveProgress(record)
    throw error
  }
}

type Files = Map<TopRole, Uint8Array>
type Run = RefreshOptions & { readonly record: SeenRecord; readonly kept: Files; readonly files: Files }

/** All at once and before the first request: what another process stores meanwhile is no past of ours. */
async function loadKept(cache: TrustCache): Promise<Files> {
  const load = async (role: TopRole) => [role, await cache.load(topLevelName(role))] as const
  const files = await Promise.all((['root', 'timestamp', 'snapshot', 'targets'] as const).map(load))
  return new Map(files.flatMap(([role, bytes]) => (bytes === undefined ? [] : [[role, bytes] as const])))
}

async function updateRoot(run: Run): Promise<AfterRoot> {
  const { rootRotations } = run.judge.limits
  let trust = await startingRoot(run)
  for (let fetched = 0; fetched < rootRotations; fetched++) {
    const next = await nextRoot(run, trust)
    if (next === undefined) break // 5.3.3; where the limit ends it, the next refresh goes on from here
    trust = next
  }
  const last = { ...finishRoot(leniently(run, trust)), now: run.judge.now } // 5.3.10
  const verdict = run.record.settleRoot(last.root)
  await forget(run, verdict)
  return last
}

function leniently<T extends Judge>({ toPublish }: Run, trust: T): T {
  return toPublish === true ? regardlessOfExpiry(trust) : trust
}

async function forget({ cache, kept }: Run, verdict: Verdict): Promise<void> {
  if (verdict === 'same keys') return
  kept.delete('timestamp') // 5.3.11
  kept.delete('snapshot')
  if (verdict === 'other keys') return await dropOnline(cache)
  kept.delete('targets')
  await cache.dropAllBut([topLevelName('root')])
}

/** The root that was kept, if it descends from the pin in force; else the pin's own (5.2). */
async function startingRoot(run: Run): Promise<WalkingRoot> {
  const { anchor, judge, source, name, signal, record } = run
  const kept = run.kept.get('root')
  const opened = kept && mayStartFromCache(run) ? openKept(run, kept) : undefined
  if (kept !== undefined && opened !== undefined) return sawRoot(run, { bytes: kept, value: opened })
  const start = await startFrom(anchor, { judge, source, name, signal, known: record.known })
  await record.startAnew()
  return await storeRoot(run, start)
}

function mayStartFromCache({ anchor, record }: Run): boolean {
  if (anchor.kind === 'stored' || record.anchor === fingerprint(anchor)) return true
  return anchor.kind === 'tofu' && record.anchor === undefined // nothing else can say what came first
}

/** undefined where it is damaged and the pin can replace it; a root that is itself the pin must be sound. */
function openKept({ anchor, judge, name }: Run, bytes: Uint8Array): WalkingRoot | undefined {
  const open = () => openAnyRoot(judge, bytes)
  const root = anchor.kind === 'stored' ? open() : unlessRefused(open)
  return root && refuseOtherRepository(root, name)
}

/** One link further, stored before the next is asked for (5.3.8); undefined at the end of the chain. */
async function nextRoot(run: Run, trust: WalkingRoot): Promise<WalkingRoot | undefined> {
  const { source, name, signal } = run
  const file = { name: rootFile(trust.root.version + 1), maxBytes: trust.limits.root }
  const accept = (bytes: Uint8Array) => refuseOtherRepository(acceptRoot(trust, bytes), name)
  const next = await fetchNext(source, { file, accept, signal })
  return next && (await storeRoot(run, next))
}

async function storeRoot(run: Run, root: Accepted<WalkingRoot>): Promise<WalkingRoot> {
  await run.cache.store(topLevelName('root'), root.bytes)
  return sawRoot(run, root)
}

function sawRoot({ record, files }: Run, { bytes, value }: Accepted<WalkingRoot>): WalkingRoot {
  record.sawRoot(value.root, bytes)
  files.set('root', bytes)
  return value
}

/** An equal version keeps the file that was trusted first (5.4.3), so nothing is stored. */
async function updateTimestamp(run: Run, trust: AfterRoot): Promise<AfterTimestamp> {
  const kept = run.kept.get('timestamp')
  const previous = kept && stillTrusted(trust, 'timestamp', kept)
  const accept = (bytes: Uint8Array) => run.record.sawTimestamp(acceptTimestamp(trust, bytes, previous))
  const got = await demand(run, { name: timestampFile(), maxBytes: trust.limits.timestamp }, accept)
  if (kept !== undefined && got.value.timestamp === previous) return used(run, 'timestamp', { ...got, bytes: kept })
  return await stored(run, 'timestamp', got)
}

/** The file that was kept serves as long as it is what the timestamp announces. Else it still bars the way back. */
async function updateSnapshot(run: Run, trust: AfterTimestamp): Promise<AfterSnapshot> {
  const kept = run.kept.get('snapshot')
  const current = kept && unlessRefused(() => run.record.sawSnapshot(acceptedSnapshot(run, trust, kept)))
  if (kept !== undefined && current !== undefined) return used(run, 'snapshot', { bytes: kept, value: current })
  const previous = kept && stillTrusted(trust, 'snapshot', kept)
  const accept = (bytes: Uint8Array) => {
    const got = acceptedSnapshot(run, trust, bytes, previous)
    if (previous !== undefined) refuseLessHeard(run, got, previous)
    return run.record.sawSnapshot(got)
  }
  return await stored(run, 'snapshot', await demand(run, snapshotFile(trust), accept))
}

function acceptedSnapshot(
  run: Run,
  trust: AfterTimestamp,
  bytes: Uint8Array,
  previous?: Verified<Snapshot>,
): AfterSnapshot {
  return { ...acceptSnapshot(leniently(run, trust), bytes, previous), now: trust.now }
}

function refuseLessHeard({ kept }: Run, trust: AfterSnapshot, previous: Verified<Snapshot>): void {
  const bytes = kept.get('targets')
  const file = bytes && stillTrusted(trust, 'targets', bytes)
  if (bytes !== undefined && file !== undefined) refuseSilenced(trust, previous, { bytes, file })
}

async function updateTargets(run: Run, trust: AfterSnapshot): Promise<AfterTargets> {
  const kept = run.kept.get('targets')
  const previous = kept && stillTrusted(trust, 'targets', kept)
  const accept = (bytes: Uint8Array) => run.record.sawTargets(acceptTargets(leniently(run, trust), bytes, previous))
  const current = kept && unlessRefused(() => accept(kept))
  if (kept !== undefined && current !== undefined) return used(run, 'targets', { bytes: kept, value: current })
  return await stored(run, 'targets', await demand(run, targetsFile(trust, TARGETS), accept))
}

/** A file without which there is no going on. */
async function demand<T>(run: Run, file: WantedFile, accept: (bytes: Uint8Array) => T): Promise<Accepted<T>> {
  const got = await fetchNeeded(run.source, { file, accept, signal: run.signal })
  if (got !== undefined) return got
  throw new ClientError('NO_TRUST_DATA', { repository: run.name?.repository ?? 'this repository', file: file.name })
}

async function stored<T>(run: Run, role: TopRole, accepted: Accepted<T>): Promise<T> {
  await run.cache.store(topLevelName(role), accepted.bytes)
  return used(run, role, accepted)
}

function used<T>({ files }: Run, role: TopRole, { bytes, value }: Accepted<T>): T {
  files.set(role, bytes)
  return value
}

/** What must not be trusted any more is as if it were not there. */
export function unlessRefused<T>(accept: () => T): T | undefined {
  try {
    return accept()
  } catch (error) {
    if (isTrustError(error)) return undefined
    throw error
  }
}

/** Why the refresh failed is what a person must hear, not that the failure could not be written down as well. */
async function saveProgress(record: SeenRecord): Promise<void> {
  try {
    await record.save()
  } catch (error) {
    if (!isClientError(error)) throw error
  }
}

function damaged({ place }: TrustCache): Warning {
  const message = `the record of what was seen in ${place} is damaged; it is made again from the files that verify`
  return { code: 'RECORD_DAMAGED', message }
}
