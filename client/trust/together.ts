/** One refresh for all programs that are started at once: containerd asks about fifty images by fifty of them. */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hash } from '../../keys/digest.ts'
import { ensureFolder } from '../../keys/folder.ts'
import { isTrustError, timestampFile } from '../../tuf/index.ts'
import { monotonicNow } from '../monotonic.ts'
import { fingerprint } from './anchor.ts'
import { errnoOf } from './atomic.ts'
import { topLevelName } from './cache.ts'
import type { TrustCache } from './cache.ts'
import { isClientError } from './errors.ts'
import { withLock } from './lock.ts'
import { refresh } from './refresh.ts'
import type { Refreshed, RefreshOptions } from './refresh.ts'

export type Together = {
  /** Where the state of this repository lies. */
  readonly folder: string
  /** How long ago a refresh may have begun that is as good as one of our own, in milliseconds. */
  readonly within: number
}

/** No suffix `.json`: it is no TUF metadata. */
const MARK = 'refreshed'
const LOCK = 'refreshing'
/** Whoever refreshes may be stuck. Then each one asks for itself. */
const PATIENCE_MS = 5000
/** Fifty that look more often than this leave the one that refreshes no processor. */
const PAUSE_MS = 200

/**
 * What another process found out a moment ago, verified as a refresh would and with no question to anybody; else a
 * refresh, by one process at a time. Whatever goes wrong with the sharing, the answer is that of a refresh of one's own.
 */
export async function refreshTogether(
  options: RefreshOptions,
  together: Together,
  patience = PATIENCE_MS,
): Promise<Refreshed> {
  const start = monotonicNow()
  do {
    const trust = (await fromMark(options, together)) ?? (await inTurn(options, together))
    if (trust !== undefined) return trust
    await delay(PAUSE_MS * (0.5 + Math.random() / 2), undefined, { signal: options.signal })
  } while (monotonicNow() - start < patience)
  return await refresh(options)
}

/** undefined while it is another one's turn. */
async function inTurn(options: RefreshOptions, together: Together): Promise<Refreshed | undefined> {
  try {
    ensureFolder(together.folder)
    const work = async () => ({ trust: (await fromMark(options, together)) ?? (await marked(options)) })
    return (await withLock(join(together.folder, LOCK), work, 0)).trust
  } catch (error) {
    if (isClientError(error) && error.code === 'CACHE_LOCKED') return undefined
    if (errnoOf(error) === undefined) throw error
    return await refresh(options) // a folder that takes no lock is told of by the refresh, if it needs the folder at all
  }
}

async function marked(options: RefreshOptions): Promise<Refreshed> {
  const trust = await refresh(options)
  await options.cache.store(MARK, encodeMark(options, options.judge.now, trust))
  return trust
}

/** Only the very files that the refresh ended with: another pin, or a chain that was not walked to its end, has others. */
async function fromMark(options: RefreshOptions, { within }: Together): Promise<Refreshed | undefined> {
  const { cache, judge } = options
  const bytes = await cache.load(MARK)
  const at = bytes && timeOf(bytes)
  if (bytes === undefined || at === undefined || at > judge.now || judge.now - at >= within) return undefined
  const get = async (name: string) =>
    name === timestampFile() ? await cache.load(topLevelName('timestamp')) : undefined
  try {
    const trust = await refresh({ ...options, cache: readOnly(cache), source: { get }, unrecorded: true })
    return encodeMark(options, at, trust).equals(bytes) ? trust : undefined
  } catch (error) {
    if (isTrustError(error) || isClientError(error)) return undefined // the refresh says what is wrong, if anything is
    throw error
  }
}

function encodeMark({ anchor }: RefreshOptions, at: number, { files }: Refreshed): Buffer {
  const sums = (['root', 'timestamp'] as const).map((role) => hash('sha256', files.get(role) ?? new Uint8Array()))
  return Buffer.from(`${[at, fingerprint(anchor), ...sums].join(' ')}\n`)
}

function timeOf(mark: Uint8Array): number | undefined {
  const [, at] = /^(\d{1,15}) /.exec(Buffer.from(mark).toString('latin1')) ?? []
  return at === undefined ? undefined : Number(at)
}

function readOnly(cache: TrustCache): TrustCache {
  const nothing = async () => {}
  return { ...cache, store: nothing, drop: nothing, dropAllBut: nothing }
}
