/**
 * Digests that a tag meant before it moved on, proved by the older files of the role that signed it.
 *
 * Nobody has to have watched: each version of a role's file is still there under its number, and its signatures are
 * checked against the keys of today, so that what a key signed which has left since counts no more. A digest counts from
 * the version that lists it on as long as every version after it lists the tag: one that leaves it out revoked it. A file
 * that is missing, or not signed well enough, ends the proof, and what lies before it is not admissible.
 */
import { authorityOf, delegatedAuthority, repositoryOf, TARGETS } from '../../tuf/index.ts'
import type { Authority, RoleName, Targets } from '../../tuf/index.ts'
import { openOlder } from '../trust/older-file.ts'
import type { FetchVersion } from '../trust/older-file.ts'
import { digestOf } from '../trust/repository.ts'
import type { View } from '../trust/repository.ts'

/** What a role's tags meant earlier: from a digest to the tags that meant it and were signed ever since. */
export type Earlier = ReadonlyMap<string, ReadonlySet<string>>

export type Past = {
  /** By role. Goes on from what was found out before, so that a new version costs one file and not all. */
  readonly of: (view: View) => Promise<ReadonlyMap<RoleName, Earlier>>
}

/** How far back a proof goes. */
const MOST_VERSIONS = 256

type Meanings = ReadonlyMap<string, string>
type Found = { readonly keys: string; readonly version: number; readonly now: Meanings; readonly earlier: Earlier }

export function openPast(fetch: FetchVersion): Past {
  const found = new Map<RoleName, Found>()

  async function advance(view: View, authority: Authority, file: Targets): Promise<Earlier> {
    const role = authority.name
    const keys = JSON.stringify([authority.role.threshold, authority.role.keyids])
    const before = found.get(role)
    const known = before?.keys === keys && before.version <= file.version ? before : undefined
    if (known?.version === file.version) return known.earlier
    const now = meaningsOf(file)
    const earlier = await gather(view, authority, { version: file.version, now, known })
    found.set(role, { keys, version: file.version, now, earlier })
    return earlier
  }

  async function gather(
    view: View,
    authority: Authority,
    { version, now, known }: { readonly version: number; readonly now: Meanings; readonly known: Found | undefined },
  ): Promise<Earlier> {
    const earlier = new Map<string, Set<string>>()
    let alive = new Set(now.keys())
    const take = (meanings: Meanings) => {
      alive = new Set([...alive].filter((tag) => meanings.has(tag)))
      for (const tag of alive) add(earlier, meanings.get(tag), tag)
    }
    const last = Math.max(known?.version ?? 0, version - MOST_VERSIONS - 1)
    for (let older = version - 1; older > last && alive.size > 0; older--) {
      const file = namesFiles(view) ? await openOlder(view, authority, older, fetch) : undefined
      if (file === undefined) return earlier
      take(meaningsOf(file))
    }
    if (known === undefined || known.version !== last) return earlier
    take(known.now)
    for (const [digest, tags] of known.earlier) for (const tag of tags) if (alive.has(tag)) add(earlier, digest, tag)
    return earlier
  }

  return {
    async of(view) {
      const all = new Map([[TARGETS, await advance(view, authorityOf(view.root, TARGETS), view.targets)]])
      for await (const { role, delegator, file } of view.all()) {
        all.set(role, await advance(view, delegatedAuthority(delegator, role), file))
      }
      return all
    },
  }
}

/**
 * No snapshot lists an older file. Where the root is bound to its repository by other means than a member, files have no
 * such member either, and one that the same key signed for another repository would look like ours.
 */
function namesFiles(view: View): boolean {
  return view.codec.repositoryOf(view.root, view) === repositoryOf(view.root)
}

function add(earlier: Map<string, Set<string>>, digest: string | undefined, tag: string): void {
  if (digest === undefined) return
  const tags = earlier.get(digest) ?? new Set()
  tags.add(tag)
  earlier.set(digest, tags)
}

function meaningsOf({ targets }: Targets): Meanings {
  const meanings = new Map<string, string>()
  for (const [tag, target] of targets) {
    if (target.hashes.has('sha256') || target.hashes.has('sha512')) meanings.set(tag, digestOf({ path: tag, target }))
  }
  return meanings
}
