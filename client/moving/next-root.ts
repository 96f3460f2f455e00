/** The root that hands a repository over: the old server's last one, with the keys of the new server in it. */
import { authorityOf, nextRoot, ROOT } from '../../tuf/index.ts'
import type { WalkingRoot } from '../../tuf/index.ts'
import { customsOf } from '../publish/customs.ts'
import type { Edit } from '../publish/edit.ts'
import { serverKeys } from '../publish/found.ts'
import type { ServerApi } from '../server-api.ts'

/** Snapshot and timestamp become the server's to sign; everything else stays, and lives no shorter than it did. */
export async function handOver(trust: WalkingRoot, api: ServerApi, now: number): Promise<Edit> {
  const { root, codec, suite } = trust
  const { timestamp, snapshot } = await serverKeys(api, codec, suite)
  const change = {
    timestamp: { keys: [timestamp], threshold: 1 },
    snapshot: { keys: [snapshot], threshold: 1 },
  }
  const expires = Math.max(root.expires, now + customsOf(codec).lifetimes.root)
  const body = nextRoot(root, change, { codec, expires })
  return { role: ROOT, body, authorities: [authorityOf(root, ROOT), authorityOf(body, ROOT)] }
}
