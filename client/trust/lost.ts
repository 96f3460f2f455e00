/** What this machine saw of a repository and its server has no more, because an older backup of it was restored. */
import { ROOT, TARGETS } from '../../tuf/index.ts'
import type { RoleName, TopRole, Version } from '../../tuf/index.ts'
import { delegatedName, topLevelName } from './cache.ts'
import type { TrustCache } from './cache.ts'
import { memoryCache } from './memory-cache.ts'
import { refresh } from './refresh.ts'
import type { Refreshed, RefreshOptions } from './refresh.ts'
import { delegatedRoles } from './resolve.ts'

/** The files that go again to the server, and the snapshot of whoever signs that beside them. */
export type LostFiles = { readonly files: ReadonlyMap<RoleName, Uint8Array>; readonly snapshot: Uint8Array | undefined }

/**
 * Compares what is kept here with what somebody is shown who never asked before. Nothing of it is written down, and what
 * is kept is not judged: the server does that, as with every upload. Throws where not even a newcomer is served.
 */
export async function lostFiles(options: Omit<RefreshOptions, 'cache'>, kept: TrustCache): Promise<LostFiles> {
  const served = await refresh({ ...options, cache: memoryCache(), toPublish: true, unrecorded: true })
  const files = new Map<RoleName, Uint8Array>()
  const snapshot = await kept.load(topLevelName('snapshot'))
  const root = await keptFile(served, kept, ROOT)
  // A chain has no gaps, and of the roots in between nothing is kept.
  if (root?.version === served.root.version + 1) files.set(ROOT, root.bytes)
  const listed = snapshot === undefined ? [] : [...served.codec.decode('snapshot', snapshot, served).body.meta]
  for (const [role, { version }] of listed) {
    if (role === ROOT) continue
    const file = await keptFile(served, kept, role)
    // An older file than the one that was listed last would not bring that back.
    if (file === undefined || (version !== undefined && file.version !== version)) continue
    if (file.version > (await servedVersion(served, options, role))) files.set(role, file.bytes)
  }
  return { files, snapshot }
}

type KeptFile = { readonly version: Version; readonly bytes: Uint8Array }

async function keptFile(served: Refreshed, kept: TrustCache, role: RoleName): Promise<KeptFile | undefined> {
  const type: TopRole = role === ROOT ? 'root' : 'targets'
  const name = role === ROOT || role === TARGETS ? topLevelName(type) : delegatedName(role, served.suite)
  const bytes = await kept.load(name)
  return bytes && { version: served.codec.decode(type, bytes, served).body.version, bytes }
}

/** 0 for a role that it knows nothing of. */
async function servedVersion(
  served: Refreshed,
  { source, signal }: Pick<RefreshOptions, 'source' | 'signal'>,
  role: RoleName,
): Promise<number> {
  if (role === TARGETS) return served.targets.version
  if (!served.snapshot.meta.has(role)) return 0
  return await delegatedRoles(served, source, memoryCache()).listedVersion(role, signal)
}
