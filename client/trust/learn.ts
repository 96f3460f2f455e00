import { fileName, isTrustError, timestampFile } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { delegatedName } from './cache.ts'
import { isClientError } from './errors.ts'
import { refresh } from './refresh.ts'
import type { RefreshOptions } from './refresh.ts'

/** What this machine just published, and what the server signed for it. */
export type Learned = {
  readonly published: readonly { readonly role: RoleName; readonly version: number; readonly bytes: Uint8Array }[]
  readonly timestamp: Uint8Array
  readonly snapshot: Uint8Array
}

/**
 * Keeps files as a refresh would that is served them: they are verified the same way, and nothing is asked of anybody.
 * What does not verify is left for the next refresh to fetch, and to complain about.
 */
export async function learn(options: Omit<RefreshOptions, 'source'>, learned: Learned): Promise<void> {
  try {
    const { snapshot } = await refresh({ ...options, source: { get: async (name) => named(learned, name) } })
    for (const { role, version, bytes } of learned.published) {
      if (role === 'root' || role === 'targets' || snapshot.meta.get(role)?.version !== version) continue
      await options.cache.store(delegatedName(role, options.judge.suite), bytes)
    }
  } catch (error) {
    if (!isTrustError(error) && !isClientError(error)) throw error
  }
}

function named({ published, timestamp, snapshot }: Learned, name: string): Uint8Array | undefined {
  if (name === timestampFile()) return timestamp
  if (/^\d+\.snapshot\.json$/.test(name)) return snapshot
  return published.find(({ role, version }) => name === `${version}.${fileName(role)}`)?.bytes
}
