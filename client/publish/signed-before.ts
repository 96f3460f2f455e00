/** Whether something a server remembers was ever signed. */
import type { Authority, Delegations } from '../../tuf/index.ts'
import type { ChangedDelegation, DelegationEntry } from '../server-api.ts'
import { openOlder } from '../trust/older-file.ts'
import type { FetchVersion } from '../trust/older-file.ts'
import { entryIn } from './delegation-entry.ts'
import type { HoldingRole, Standing } from './standing.ts'

type Claim = Pick<ChangedDelegation, 'role' | 'version'> & { readonly before: DelegationEntry }

/**
 * Whether a file of the delegator had the role like that shortly before the version in which it was changed, signed by the
 * keys that the delegator has now. Which of those files was the last one before some moment, nobody signed.
 */
export type SignedBefore = (delegator: HoldingRole, claim: Claim) => Promise<boolean>

/** A thief may have published on top of what he changed; and each version is one request. */
const MOST_VERSIONS = 32

export function openSignedBefore(standing: Standing, fetch: FetchVersion): SignedBefore {
  const lists = new Map<string, Promise<Delegations | undefined>>()

  async function listOf(authority: Authority, version: number): Promise<Delegations | undefined> {
    const label = `${version}.${authority.name}`
    const known = lists.get(label) ?? openOlder(standing, authority, version, fetch).then((file) => file?.delegations)
    lists.set(label, known)
    return await known
  }

  return async ({ authority, file }, { role, version, before }) => {
    const wanted = JSON.stringify(before)
    const last = Math.min(version, file?.version ?? 0) - 1
    for (let older = last; older > Math.max(0, last - MOST_VERSIONS); older--) {
      if (JSON.stringify(entryIn(await listOf(authority, older), role)) === wanted) return true
    }
    return false
  }
}
