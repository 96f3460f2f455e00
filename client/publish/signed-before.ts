/** Whether something a server remembers was ever signed. */
import type { Authority, Delegations, Targets } from '../../tuf/index.ts'
import type { ChangedDelegation, DelegationEntry, HistoryEntry } from '../server-api.ts'
import { openOlder } from '../trust/older-file.ts'
import type { FetchVersion } from '../trust/older-file.ts'
import { digestOf } from '../trust/repository.ts'
import { entryIn } from './delegation-entry.ts'
import type { HoldingRole, Standing } from './standing.ts'

/**
 * Looks in older files, as long as a server has them (`grace`), that are signed by the keys which the role has now. Which of them was the last one before some
 * moment, nobody signed.
 */
export type SignedBefore = {
  /** Whether a file of the delegator had the role like that shortly before the version in which it was changed. */
  readonly delegation: (
    delegator: HoldingRole,
    claim: Pick<ChangedDelegation, 'role' | 'version'> & { readonly before: DelegationEntry },
  ) => Promise<boolean>
  /** Whether the tag meant that in one of these versions. */
  readonly tag: (
    holder: HoldingRole,
    claim: Pick<HistoryEntry, 'tag' | 'digest' | 'length'>,
    versions: readonly number[],
  ) => Promise<boolean>
}

/** A thief may have published on top of what he changed; and each version is one request. */
const MOST_VERSIONS = 32
/** Files may be large, and nearly everything is in the last one before the theft. */
const KEPT_FILES = 2

export function openSignedBefore(standing: Standing, fetch: FetchVersion): SignedBefore {
  const lists = new Map<string, Promise<Delegations | undefined>>()
  const files = new Map<string, Promise<Targets | undefined>>()

  async function listOf(authority: Authority, version: number): Promise<Delegations | undefined> {
    const label = labelOf(authority, version)
    const known = lists.get(label) ?? openOlder(standing, authority, version, fetch).then((file) => file?.delegations)
    lists.set(label, known)
    return await known
  }

  async function fileOf(authority: Authority, version: number): Promise<Targets | undefined> {
    const label = labelOf(authority, version)
    const known = files.get(label) ?? openOlder(standing, authority, version, fetch)
    const [oldest] = files.keys()
    if (files.size === KEPT_FILES && oldest !== undefined && !files.has(label)) files.delete(oldest)
    files.set(label, known)
    return await known
  }

  return {
    async delegation({ authority, file }, { role, version, before }) {
      const wanted = JSON.stringify(before)
      const last = Math.min(version, file?.version ?? 0) - 1
      for (let older = last; older > Math.max(0, last - MOST_VERSIONS); older--) {
        if (JSON.stringify(entryIn(await listOf(authority, older), role)) === wanted) return true
      }
      return false
    },
    async tag({ authority }, { tag, digest, length }, versions) {
      for (const version of new Set(versions)) {
        const target = version < 1 ? undefined : (await fileOf(authority, version))?.targets.get(tag)
        if (target === undefined || target.length !== length) continue
        if (digestOf({ path: tag, target }) === digest) return true
      }
      return false
    },
  }
}

function labelOf({ name }: Authority, version: number): string {
  return `${version}.${name}`
}
