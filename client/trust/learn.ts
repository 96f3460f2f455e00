/** What a publisher knows without asking: the files that it published itself a moment ago. */
import { isTrustError, ROOT, TARGETS, timestampFile } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { delegatedName, topLevelName } from './cache.ts'
import { isClientError } from './errors.ts'
import { refresh } from './refresh.ts'
import type { Refreshed, RefreshOptions } from './refresh.ts'

/** What this machine just published, and what the server signed for it. */
export type Learned = {
  readonly published: readonly { readonly role: RoleName; readonly bytes: Uint8Array }[]
  readonly timestamp: Uint8Array
  readonly snapshot: Uint8Array
}

type Options = Omit<RefreshOptions, 'source'>

/** No suffix `.json`: everything with it in the folder is TUF metadata. */
const MARK = 'published'
/** Who else publishes within such a time does so at the same moment, as far as anybody can tell afterwards. */
const MOMENT_MS = 60_000

/**
 * Keeps these files for the next refresh. They go into the cache unverified, for nothing that comes out of it is ever
 * believed unverified: a server that answered with nonsense costs a download. A root is not learned but walked to.
 */
export async function learn({ cache, judge }: Options, { published, timestamp, snapshot }: Learned): Promise<void> {
  if (published.some(({ role }) => role === ROOT)) return
  try {
    for (const { role, bytes } of published) {
      await cache.store(role === TARGETS ? topLevelName('targets') : delegatedName(role, judge.suite), bytes)
    }
    await cache.store(topLevelName('snapshot'), snapshot)
    await cache.store(topLevelName('timestamp'), timestamp)
    await cache.store(MARK, Buffer.from(String(judge.now)))
  } catch (error) {
    if (!isClientError(error)) throw error // what was published is published, whatever this disk says
  }
}

/**
 * The state that this machine published within the last minute, verified as a refresh would and with no question to
 * anybody; undefined where that is not enough. Good for a next publish alone, which a server refuses if it comes too
 * late: it says nothing of what others did since.
 */
export async function remembered(options: Options): Promise<Refreshed | undefined> {
  const { cache, judge } = options
  const mark = await cache.load(MARK)
  const age = mark === undefined ? Number.NaN : judge.now - Number(Buffer.from(mark).toString('latin1'))
  if (!(age >= 0 && age < MOMENT_MS)) return undefined
  const get = async (name: string) =>
    name === timestampFile() ? await cache.load(topLevelName('timestamp')) : undefined
  try {
    return await refresh({ ...options, source: { get } })
  } catch (error) {
    if (isTrustError(error) || isClientError(error)) return undefined
    throw error
  }
}
