/** The files that the server signs: the next snapshot and timestamp over what others signed. */
import { acceptSnapshot, acceptTimestamp, nextTimestamp, roleName, stillTrusted, version } from '../../tuf/index.ts'
import type { AfterRoot, AfterSnapshot, FileMeta, RoleName, Snapshot, Timestamp } from '../../tuf/index.ts'
import { VersionSpent } from '../signing/holder.ts'
import type { OnlineKeys } from '../signing/online-keys.ts'
import type { Dialect, LastSigned, OnlineRole, RepositoryState } from '../storage/store.ts'
import type { MakeSnapshot, Rules } from './rules.ts'

/** In milliseconds. */
export type Lifetimes = { readonly timestamp: number; readonly snapshot: number }

export type Completion = {
  readonly online: OnlineKeys
  readonly lifetimes: Readonly<Record<Dialect, Lifetimes>>
}

/** The stored bytes, where there are any. */
export type Previous = { readonly snapshot?: Uint8Array; readonly timestamp?: Uint8Array }

/** What the server made, accepted as a client accepts it. `snapshot` is absent where it made none. */
export type Completed = {
  readonly trust: AfterSnapshot
  readonly timestamp: Uint8Array
  readonly snapshot?: Uint8Array
  /** Roles whose versions begin anew, below those of the stored files. */
  readonly anew: readonly RoleName[]
}

const ATTEMPTS = 3

export type Subject = {
  readonly repository: string
  readonly trust: AfterRoot
  readonly rules: Rules
  readonly now: number
  /** Versions that our keys have signed under this name before there was a previous file. */
  readonly lastSigned?: LastSigned
  /** What is stored, for the case that the previous files are a thief's work. */
  readonly state?: RepositoryState | undefined
}

/**
 * No publishing of ours comes near. Whoever had the keys, and the database, may have driven the versions up to where no
 * next one is left. Under new keys they begin anew (5.3.11), above every version that was signed here.
 */
const FAR = 2 ** 30

/** Snapshot and timestamp anew. */
export async function completeBoth(
  completion: Completion,
  subject: Subject,
  previous: Previous,
  make: MakeSnapshot,
): Promise<Completed> {
  const { trust, now } = subject
  const { codec } = trust
  const { before, anew } = lastSnapshot(subject, previous)
  const body = above(
    subject.lastSigned?.snapshot,
    make(before, { codec, expires: now + completion.lifetimes[codec.dialect].snapshot }),
  )
  const snapshot = await signed(completion, subject, 'snapshot', body)
  const completed = await completeOver(completion, subject, previous, snapshot)
  return { ...completed, snapshot, anew: [...anew, ...completed.anew] }
}

/** A snapshot by keys that were taken away says nothing any more: what is stored does. */
function lastSnapshot(subject: Subject, { snapshot }: Previous): Last<Snapshot> {
  const { trust, state } = subject
  if (snapshot === undefined) return { before: undefined, anew: [] }
  const before = trust.codec.decode('snapshot', snapshot, trust).body
  if (state === undefined || stillTrusted(trust, 'snapshot', snapshot) !== undefined) return { before, anew: [] }
  const held = [...state.files.values()].filter(({ role }) => !ONLINE_OR_ROOT.has(role))
  const meta = new Map(held.map(({ role, version: stored }) => [role, { version: stored, unknown: new Map() }]))
  return begunAnew({ ...before, meta }, state)
}

const ONLINE_OR_ROOT: ReadonlySet<string> = new Set(['root', 'timestamp', 'snapshot'])

type Last<M> = { readonly before: M | undefined; readonly anew: readonly RoleName[] }

function begunAnew<M extends Snapshot | Timestamp>(before: M, { revision }: RepositoryState): Last<M> {
  if (before.version < FAR) return { before, anew: [] }
  return { before: { ...before, version: version(revision) }, anew: [roleName(before.type)] }
}

/** The timestamp alone, over a new snapshot, whoever signed that. */
export async function completeOver(
  completion: Completion,
  subject: Subject,
  previous: Previous,
  snapshot: Uint8Array,
): Promise<Completed> {
  const { trust, rules } = subject
  const { body } = trust.codec.decode('snapshot', snapshot, trust)
  const meta = rules.metaOf(body.version, snapshot, trust.suite)
  return withTimestamp(completion, subject, previous, meta, snapshot)
}

/** The timestamp alone, over the stored snapshot. */
export async function completeTimestamp(
  completion: Completion,
  subject: Subject,
  previous: Required<Previous>,
): Promise<Completed> {
  const { trust } = subject
  const { snapshot: meta } = trust.codec.decode('timestamp', previous.timestamp, trust).body
  return withTimestamp(completion, subject, previous, meta, previous.snapshot)
}

async function withTimestamp(
  completion: Completion,
  subject: Subject,
  previous: Previous,
  meta: Omit<FileMeta, 'unknown'>,
  snapshot: Uint8Array,
): Promise<Completed> {
  const { trust, now } = subject
  const { codec } = trust
  const { before, anew } = lastTimestamp(subject, previous)
  const next = nextTimestamp(before, meta, { codec, expires: now + completion.lifetimes[codec.dialect].timestamp })
  const body = above(subject.lastSigned?.timestamp, next)
  const timestamp = await signed(completion, subject, 'timestamp', body)
  return { trust: accepted(trust, timestamp, snapshot, previous), timestamp, anew }
}

function lastTimestamp({ trust, state }: Subject, { timestamp }: Previous): Last<Timestamp> {
  if (timestamp === undefined) return { before: undefined, anew: [] }
  const before = trust.codec.decode('timestamp', timestamp, trust).body
  const holds = state === undefined || stillTrusted(trust, 'timestamp', timestamp) !== undefined
  return holds ? { before, anew: [] } : begunAnew(before, state)
}

function above<M extends Snapshot | Timestamp>(signedBefore = 0, body: M): M {
  return body.version > signedBefore ? body : { ...body, version: version(signedBefore + 1) }
}

/** The client's own judgement, with the eyes of one who has seen what was stored before. */
function accepted(trust: AfterRoot, timestamp: Uint8Array, snapshot: Uint8Array, previous: Previous): AfterSnapshot {
  const seenTimestamp = previous.timestamp && stillTrusted(trust, 'timestamp', previous.timestamp)
  const seenSnapshot = previous.snapshot && stillTrusted(trust, 'snapshot', previous.snapshot)
  return acceptSnapshot(acceptTimestamp(trust, timestamp, seenTimestamp), snapshot, seenSnapshot)
}

/** A version that was signed and never stored, because this server died or was restored, is left behind. */
async function signed(
  completion: Completion,
  subject: Subject,
  role: OnlineRole,
  body: Snapshot | Timestamp,
  attempts = ATTEMPTS,
): Promise<Uint8Array> {
  const { codec, root } = subject.trust
  try {
    return codec.assemble(body, await completion.online.sign(subject.repository, role, { root, codec }, body))
  } catch (error) {
    if (!(error instanceof VersionSpent) || attempts <= 1) throw error
    return signed(completion, subject, role, { ...body, version: version(error.last + 1) }, attempts - 1)
  }
}
