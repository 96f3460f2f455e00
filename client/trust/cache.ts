import { encodeText, fileName } from '../../tuf/index.ts'
import type { RoleName, Suite } from '../../tuf/index.ts'

/**
 * Where trusted files are kept between runs. It promises whole files, never honest ones: what `load` gives is verified
 * again before it is believed. Every failure of the storage is a `ClientError` CACHE_UNUSABLE.
 */
export type TrustCache = {
  /** What errors and warnings call this cache. */
  readonly place: string
  /** The bytes stored last under that name, whole, or undefined. */
  readonly load: (name: string) => Promise<Uint8Array | undefined>
  /**
   * A reader sees the old bytes or the new ones, or none where the file can be fetched again. The root survives a
   * crash of the machine once this returns.
   */
  readonly store: (name: string, bytes: Uint8Array) => Promise<void>
  /** Nothing under that name afterwards, whether there was something before or not. */
  readonly drop: (name: string) => Promise<void>
  /** Drops every metadata file but these: what another chain of trust left would answer for this one. */
  readonly dropAllBut: (names: readonly string[]) => Promise<void>
  /** Runs `work` while nobody else runs theirs, in this process or another. For milliseconds: no network inside. */
  readonly lock: <T>(work: () => Promise<T>) => Promise<T>
}

/** What was seen (ADR 0014). No suffix `.json`: everything with it in the folder is TUF metadata. */
export const SEEN = 'seen'
/** What was published from here, in one file (`learn.ts`). No suffix `.json`: it is no TUF metadata. */
export const PUBLISHED = 'published'

const TOP_LEVEL: ReadonlySet<string> = new Set(['root.json', 'timestamp.json', 'snapshot.json', 'targets.json'])
/** File systems take 255 bytes; what is written beside the file needs some of them. */
const LONGEST_NAME = 200

/** The name under which one of the four top-level files is kept: unversioned, as every TUF client does. */
export function topLevelName(role: 'root' | 'timestamp' | 'snapshot' | 'targets'): string {
  return `${role}.json`
}

/**
 * The name under which a delegated role's file is kept: one plain segment, whatever the role is called, different for
 * different roles, and never that of a top-level file. Quoting makes no `%~`, so what we name so meets nothing else.
 */
export function delegatedName(role: RoleName, suite: Suite): string {
  const name = fileName(role)
  if (TOP_LEVEL.has(name)) return `%~${name}`
  if (name.length <= LONGEST_NAME && !name.startsWith('.')) return name
  return `%~${suite.hash('sha256', encodeText(role))}.json`
}
