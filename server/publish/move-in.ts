/**
 * A repository that comes whole from another Notary server: all versions of its root, and what its roles are.
 *
 * Its past is judged as its clients judged it, under the old root and regardless of expiry; then what it says now is a
 * publish like any other, on top of that past. So versions go on where the old server stopped, and clients that have
 * seen the repository there find no rollback here.
 */
import {
  ROOT,
  SNAPSHOT,
  TARGETS,
  TIMESTAMP,
  acceptRoot,
  acceptSnapshot,
  acceptTimestamp,
  codecOf,
  finishRoot,
  isTrustError,
  listedMeta,
  openRoot,
  refuseMismatch,
  regardlessOfExpiry,
} from '../../tuf/index.ts'
import type { AfterSnapshot, Judge, RoleName, WalkingRoot } from '../../tuf/index.ts'
import { Problem, invalidUpdate, untrusted } from '../problem.ts'
import type { LastSigned, NewFile } from '../storage/store.ts'
import { refuseTooHigh } from './notary-rules.ts'
import type { NextState } from './validate.ts'
import { newFile, validate } from './validate.ts'
import type { Completion } from './complete.ts'
import type { Upload } from './upload.ts'

export type Arrival = {
  readonly repository: string
  readonly upload: Upload
  readonly judge: Judge
  /** Of a deleted repository of that name. */
  readonly lastSigned: LastSigned
}

/** The state that the repository begins with here. Throws Problem; nothing is stored here. */
export async function arriving(
  completion: Completion,
  { repository, upload, judge, lastSigned }: Arrival,
): Promise<NextState> {
  const parts = sorted(upload)
  try {
    const past = acceptPast(judge, parts)
    refuseOthers(past, parts.current)
    refuseTooHigh(TIMESTAMP, past.timestamp.version)
    refuseTooHigh(SNAPSHOT, past.snapshot.version)
    const stored = async (role: RoleName) => pastFile(parts, role)
    const uploaded = parts.current
    const next = await validate(completion, {
      repository,
      judge,
      state: undefined,
      uploaded,
      stored,
      lastSigned,
      moving: true,
    })
    return { ...next, files: [...olderRoots(judge, parts), ...next.files] }
  } catch (error) {
    if (isTrustError(error)) throw untrusted(error)
    throw error
  }
}

type Parts = {
  /** From the oldest on. */
  readonly roots: readonly Uint8Array[]
  readonly timestamp: Uint8Array
  readonly snapshot: Uint8Array
  /** The root that names our keys, and every targets file. */
  readonly current: ReadonlyMap<RoleName, Uint8Array>
}

const OLD_ROOT = /^([1-9][0-9]{0,4})\.root$/

function sorted(upload: Upload): Parts {
  const roots = new Map<number, Uint8Array>()
  const current = new Map<RoleName, Uint8Array>()
  for (const [role, { kind, bytes }] of upload) {
    if (kind !== 'file') throw malformed(`${role} must come whole`)
    const version = OLD_ROOT.exec(role)?.[1]
    if (version !== undefined) roots.set(Number(version), bytes)
    else if (role !== TIMESTAMP && role !== SNAPSHOT) current.set(role, bytes)
  }
  const [timestamp, snapshot] = [upload.get(TIMESTAMP), upload.get(SNAPSHOT)]
  if (timestamp === undefined || snapshot === undefined) throw malformed('it has no timestamp or no snapshot')
  if (roots.size === 0 || !current.has(ROOT) || !current.has(TARGETS)) throw malformed('it has no roots or no targets')
  const oldestFirst = [...roots].toSorted(([a], [b]) => a - b).map(([, bytes]) => bytes)
  return { roots: oldestFirst, timestamp: timestamp.bytes, snapshot: snapshot.bytes, current }
}

/** What the repository was at the old server. */
function acceptPast(judge: Judge, { roots, timestamp, snapshot }: Parts): AfterSnapshot {
  const lenient = regardlessOfExpiry(judge) // what has expired there is past all the same
  let trust: WalkingRoot | undefined
  for (const bytes of roots) trust = trust === undefined ? openRoot(lenient, bytes) : acceptRoot(trust, bytes)
  if (trust === undefined) throw malformed('it has no roots')
  return acceptSnapshot(acceptTimestamp(finishRoot(trust), timestamp), snapshot)
}

/** What moves is what was there, to the byte: an older file would be a rollback. */
function refuseOthers(past: AfterSnapshot, current: Parts['current']): void {
  for (const [role, bytes] of current) {
    if (role !== ROOT) refuseMismatch(role, listedMeta(past, role), bytes, past.suite)
  }
}

function pastFile({ roots, timestamp, snapshot }: Parts, role: RoleName): Uint8Array | undefined {
  if (role === ROOT) return roots.at(-1)
  if (role === TIMESTAMP) return timestamp
  return role === SNAPSHOT ? snapshot : undefined
}

/** For clients that saw the repository when one of them was the newest. */
function olderRoots(judge: Judge, { roots }: Parts): readonly NewFile[] {
  return roots.map((bytes) => newFile(judge, ROOT, bytes))
}

/** Throws INVALID_UPDATE for a root of another dialect: TUF 1.0 clients can follow a repository without any of this. */
export function refuseOtherThanNotary(upload: Upload, limits: Judge['limits']): void {
  const root = upload.get(ROOT)
  if (root === undefined) throw malformed('it has no root')
  try {
    if (codecOf(root.bytes, limits).dialect === 'notary-v1') return
  } catch (error) {
    if (isTrustError(error)) throw untrusted(error)
    throw error
  }
  throw invalidUpdate('OTHER_DIALECT', { role: ROOT, dialect: 'notary-v1' })
}

function malformed(reason: string): Problem {
  return new Problem('MALFORMED_UPLOAD', { reason })
}
