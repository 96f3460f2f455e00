/** Which digests the signed tags of a repository mean, so that a digest can be asked for without its tag. */
import { TARGETS } from '../../tuf/index.ts'
import { isTag } from '../registry/reference.ts'
import { digestOf } from '../trust/repository.ts'
import type { View } from '../trust/repository.ts'

/** `length` in bytes. Whether one of these tags still means the digest is for the verdict engine to say. */
export type Candidate = { readonly tags: Set<string>; readonly length: number }
export type SignedDigests = { readonly byDigest: ReadonlyMap<string, Candidate>; readonly tags: ReadonlySet<string> }

/** Every role's word is taken down here, that of roles too which may not speak for a tag: these are questions to ask. */
export async function collectDigests(view: View): Promise<SignedDigests> {
  const byDigest = new Map<string, Candidate>()
  const tags = new Set<string>()
  const take = (targets: View['targets']['targets']) => {
    for (const [tag, target] of targets) {
      if (!isTag(tag) || !(target.hashes.has('sha256') || target.hashes.has('sha512'))) continue
      tags.add(tag)
      const digest = digestOf({ path: tag, target })
      const known = byDigest.get(digest)
      if (known === undefined) byDigest.set(digest, { tags: new Set([tag]), length: target.length })
      else known.tags.add(tag)
    }
  }
  take(view.targets.targets)
  for await (const { role, file } of view.all()) if (role !== TARGETS) take(file.targets)
  return { byDigest, tags }
}

/** The same text as long as every role says the same. */
export function stateOf({ root, snapshot, targets }: View): string {
  return `${root.version} ${snapshot.version} ${targets.version}`
}
