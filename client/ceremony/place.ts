/** Where a proposal stands beside what a server shows. Nothing of that is verified here: it is told, and not trusted. */
import { sameBytes } from '../../keys/bytes.ts'
import { DEFAULT_LIMITS, fileName, isTrustError, rootFile } from '../../tuf/index.ts'
import type { RoleName, TopRole } from '../../tuf/index.ts'
import type { MetadataSource } from '../trust/fetch.ts'
import { CeremonyError } from './errors.ts'
import { followedBy, payloadOf } from './opened.ts'
import type { Opened } from './opened.ts'

export type ServerPlace = {
  /** `published`: it is done already. */
  readonly kind: 'fits' | 'published'
  /** Roles that were published since, so that what goes with the root must be made anew. */
  readonly stale: readonly RoleName[]
}

/** Throws PROPOSAL_STALE, OTHER_CHAIN, and PROPOSAL_UNSOUND for what begins from files that were never published. */
export async function placeOnServer(
  opened: Opened,
  source: MetadataSource,
  signal?: AbortSignal,
): Promise<ServerPlace> {
  const { proposal, root } = opened
  const { repository } = proposal
  const next = root.signed.body.version
  const followed = followedBy(opened)
  const other = (version: number) => new CeremonyError('OTHER_CHAIN', { repository, version, who: 'the server' })
  const served = await servedFile(opened, source, 'root.json', signal)
  if (served === undefined) {
    if (followed === undefined) return { kind: 'fits', stale: [] }
    throw other(followed.root.version)
  }
  if (served.version >= next) {
    const there = await servedFile(opened, source, rootFile(next), signal)
    if (there !== undefined && sameBytes(there.payload, root.signed.payload)) return { kind: 'published', stale: [] }
    throw new CeremonyError('PROPOSAL_STALE', { repository, version: next, published: served.version })
  }
  if (followed === undefined || served.version !== followed.root.version) throw other(next - 1)
  if (!sameBytes(served.payload, payloadOf(followed))) throw other(served.version)
  return { kind: 'fits', stale: await staleRoles(opened, source, signal) }
}

type Served = { readonly version: number; readonly payload: Uint8Array }

/** undefined where the server has none, or what it has is no such file. */
async function servedFile(
  opened: Opened,
  source: MetadataSource,
  name: string,
  signal: AbortSignal | undefined,
  type: TopRole = 'root',
): Promise<Served | undefined> {
  const bytes = await source.get(name, DEFAULT_LIMITS[type], signal)
  if (bytes === undefined) return undefined
  try {
    const { body, payload } = opened.judge.codec.decode(type, bytes, opened.judge)
    return { version: body.version, payload }
  } catch (error) {
    if (isTrustError(error)) return undefined
    throw error
  }
}

async function staleRoles(
  opened: Opened,
  source: MetadataSource,
  signal: AbortSignal | undefined,
): Promise<readonly RoleName[]> {
  const stale: RoleName[] = []
  for (const [role, bytes] of opened.proposal.before) {
    const { body, payload } = opened.judge.codec.decode('targets', bytes, opened.judge)
    const now = await servedFile(opened, source, fileName(role), signal, 'targets')
    if (now !== undefined && sameBytes(now.payload, payload)) continue
    if (now !== undefined && now.version <= body.version) refuseUnpublished(opened, role, body.version)
    stale.push(role)
  }
  return stale
}

/** Whoever has a key that leaves can sign a file for the next one to follow, with tags that nobody knows. */
function refuseUnpublished({ file }: Opened, role: RoleName, version: number): never {
  throw new CeremonyError('PROPOSAL_UNSOUND', {
    file,
    why: `it begins from a ${role} ${version} that the server never published`,
  })
}
