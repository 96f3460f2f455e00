/** One repository from an old server to ours, as often as somebody asks for it. */
import { sameBytes } from '../../keys/bytes.ts'
import { DEFAULT_LIMITS, ROOT, rootFile } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import type { Keyring } from '../publish/keyring.ts'
import { sign } from '../publish/publish.ts'
import type { ServerApi } from '../server-api.ts'
import type { MetadataSource } from '../trust/fetch.ts'
import type { OldState } from './collect.ts'
import { MovingError } from './errors.ts'
import { handOver } from './next-root.ts'
import { rootKeyNames } from './pin.ts'

export type MoveOptions = {
  readonly repository: string
  readonly old: OldState
  readonly api: ServerApi
  /** The same server's metadata of the repository, and the old one's. */
  readonly here: MetadataSource
  readonly there: MetadataSource
  readonly keyring: Keyring
  readonly now: number
  readonly signal: AbortSignal
}

/** `moved` in this run; `followed` are the roles that the old server had newer versions of since. */
export type Moved = { readonly moved: boolean; readonly followed: readonly RoleName[] }

/**
 * All versions of the root, the hand-over signed on top, and what the other roles are, in one step: whoever refreshes
 * sees the repository as it was at the old server, or as it is here. Done again, it brings what was published there since.
 */
export async function move(options: MoveOptions): Promise<Moved> {
  const { here, signal } = options
  const root = await here.get('root.json', DEFAULT_LIMITS.root, signal)
  if (root !== undefined) return await follow(options)
  await bring(options)
  return { moved: true, followed: [] }
}

async function bring({ repository, old, api, keyring, now }: MoveOptions): Promise<void> {
  const { trust, roots, timestamp, snapshot, targets } = old
  const edit = await handOver(trust, api, now)
  if (!edit.authorities.every(keyring.canSign)) {
    throw new MovingError('ROOT_KEY_NEEDED', { repository, keys: rootKeyNames(trust) })
  }
  const signed = await sign(trust.codec, keyring, [edit])
  const files = new Map<string, Uint8Array>([
    ...[...roots].map(([version, bytes]) => [`${version}.${ROOT}`, bytes] as const),
    ['timestamp', timestamp],
    ['snapshot', snapshot],
    ...targets,
    ...signed,
  ])
  await api.moveIn(files)
}

/** Root keys have handed over already; what the other keys signed since is still theirs to say. */
async function follow(options: MoveOptions): Promise<Moved> {
  const { old, api } = options
  await refuseOther(options)
  const newer = new Map<RoleName, Uint8Array>()
  for (const [role, bytes] of old.targets) if (await isNewer(options, role)) newer.set(role, bytes)
  const outcome = newer.size === 0 ? undefined : await api.upload(newer)
  return { moved: false, followed: outcome?.kind === 'stored' ? [...newer.keys()] : [] }
}

/** The old server's newest root must be one of ours. */
async function refuseOther({ repository, old, here, api, signal }: MoveOptions): Promise<void> {
  const { version } = old.trust.root
  const ours = await here.get(rootFile(version), DEFAULT_LIMITS.root, signal)
  const theirs = old.roots.get(version)
  if (ours !== undefined && theirs !== undefined && sameBytes(ours, theirs)) return
  throw new MovingError('OTHER_HERE', { repository, server: api.server })
}

/** Throws DIVERGED where both servers got something new: whichever were taken, the other's tags would be lost. */
async function isNewer({ repository, old, there, here, signal }: MoveOptions, role: RoleName): Promise<boolean> {
  const { trust, roles } = old
  const ours = await here.get(`${role}.json`, DEFAULT_LIMITS.targets, signal)
  if (ours === undefined) return true
  const { version } = trust.codec.decode('targets', ours, trust).body
  if (version >= (roles.get(role)?.version ?? 0)) return false
  const theirs = await there.get(`${version}.${role}.json`, DEFAULT_LIMITS.targets, signal)
  if (theirs !== undefined && sameBytes(ours, theirs)) return true
  throw new MovingError('DIVERGED', { repository, role })
}
