/** What a publisher knows without asking: the files that it published itself a moment ago. */
import { isTrustError, ROOT, TARGETS, timestampFile } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { delegatedName, PUBLISHED, topLevelName } from './cache.ts'
import type { TrustCache } from './cache.ts'
import { isClientError } from './errors.ts'
import { isMomentAgo } from './moment.ts'
import { refresh } from './refresh.ts'
import type { Refreshed, RefreshOptions } from './refresh.ts'

/** What this machine just published, and what the server signed for it. */
export type Learned = {
  readonly published: readonly { readonly role: RoleName; readonly bytes: Uint8Array }[]
  readonly timestamp: Uint8Array
  readonly snapshot: Uint8Array
}

type Options = Omit<RefreshOptions, 'source'>

/**
 * Keeps what was published for a next publish that comes at once. It is kept unverified, for nothing that comes out of
 * a cache is ever believed unverified. A root is not learned but walked to.
 */
export async function learn({ cache, judge }: Options, { published, timestamp, snapshot }: Learned): Promise<void> {
  if (published.some(({ role }) => role === ROOT)) return
  const files = new Map(
    published.map(({ role, bytes }) => [
      role === TARGETS ? topLevelName('targets') : delegatedName(role, judge.suite),
      bytes,
    ]),
  )
  files.set(topLevelName('snapshot'), snapshot).set(topLevelName('timestamp'), timestamp)
  try {
    await cache.store(PUBLISHED, encodeBundle(judge.now, files))
  } catch (error) {
    if (!isClientError(error)) throw error // what was published is published, whatever this disk says
  }
}

/**
 * The state that this machine published within the last minute, verified as a refresh would and with no question to
 * anybody; undefined where that is not enough. Good for a next publish alone, which a server refuses if it comes too
 * late: it says nothing of what others did since. `cache` has the delegated roles that were published as well.
 */
export async function remembered(
  options: Options,
): Promise<{ readonly trust: Refreshed; readonly cache: TrustCache } | undefined> {
  const { judge } = options
  const bytes = await options.cache.load(PUBLISHED)
  const bundle = bytes && decodeBundle(bytes)
  if (bundle === undefined || !isMomentAgo(bundle.at, judge.now)) return undefined
  const cache = laidOver(options.cache, bundle.files)
  const get = async (name: string) => (name === timestampFile() ? bundle.files.get(name) : undefined)
  try {
    return { trust: await refresh({ ...options, cache, source: { get }, unrecorded: true }), cache }
  } catch (error) {
    if (isTrustError(error) || isClientError(error)) return undefined
    throw error
  }
}

/**
 * The cache with what was published from here laid over it: a refresh need not fetch that again, however long ago it
 * was. What is out of date or damaged is found out as in any cache.
 */
export async function withPublished(cache: TrustCache): Promise<TrustCache> {
  const bytes = await cache.load(PUBLISHED)
  const files = (bytes && decodeBundle(bytes))?.files
  return files === undefined ? cache : { ...cache, load: async (name) => files.get(name) ?? (await cache.load(name)) }
}

/** The cache as it would be with these files; it is only read. */
function laidOver(cache: TrustCache, files: ReadonlyMap<string, Uint8Array>): TrustCache {
  const nothing = async () => {}
  return {
    ...cache,
    // The timestamp comes as an answer does: as a kept one as well it would be verified twice.
    load: async (name) =>
      name === topLevelName('timestamp') ? undefined : (files.get(name) ?? (await cache.load(name))),
    store: nothing,
    drop: nothing,
    dropAllBut: nothing,
  }
}

type Bundle = { readonly at: number; readonly files: ReadonlyMap<string, Uint8Array> }

/** One file for all, for each that is made costs what a request does. One line that says when, and how long each file is; then the files. */
function encodeBundle(at: number, files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const index = [...files].map(([name, { length }]) => `${name} ${length}`)
  return Buffer.concat([Buffer.from(`${[at, ...index].join(' ')}\n`), ...files.values()])
}

/** undefined where it is damaged; what is in it proves itself, or is refused, when it is verified. */
function decodeBundle(bytes: Uint8Array): Bundle | undefined {
  const end = bytes.indexOf(0x0a)
  const [at = '', ...index] = Buffer.from(bytes.subarray(0, Math.max(end, 0)))
    .toString('utf8')
    .split(' ')
  const files = new Map<string, Uint8Array>()
  let start = end + 1
  for (let i = 0; i + 1 < index.length; i += 2) {
    const length = Number(index[i + 1])
    files.set(index[i] ?? '', bytes.subarray(start, start + length))
    start += length
  }
  // A root would be started from.
  const isWhole = /^\d+$/.test(at) && start === bytes.length && !files.has(topLevelName('root'))
  return isWhole ? { at: Number(at), files } : undefined
}
