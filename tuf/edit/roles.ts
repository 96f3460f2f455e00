/** The next version of each role: a pure function from what is trusted and what should change to what gets signed. */
import type { Codec } from '../codec/codec.ts'
import { TrustError } from '../errors.ts'
import { ROOT, SNAPSHOT, TARGETS, TIMESTAMP, instant, threshold, version } from '../model/ids.ts'
import type { KeyId, RoleName, Version } from '../model/ids.ts'
import type {
  Delegations,
  FileMeta,
  PublicKey,
  RoleKeys,
  Root,
  Snapshot,
  TargetFile,
  Targets,
  Timestamp,
  TopRole,
  Unknown,
} from '../model/metadata.ts'

/** Keys and how many of them must sign. */
export type KeySet = { readonly keys: readonly PublicKey[]; readonly threshold: number }
export type RootKeys = { readonly [R in TopRole]: KeySet }

/** What every edit needs: how the dialect writes dates, and until when (milliseconds since 1970). */
export type EditContext = { readonly codec: Codec; readonly expires: number }

const NOTHING: Unknown = new Map()

/** Root 1. `unknown` are further signed members, such as the repository's name. */
export function firstRoot(roles: RootKeys, context: EditContext, unknown: Unknown = NOTHING): Root {
  const { consistentSnapshot } = context.codec
  const empty = { type: 'root', unknown, consistentSnapshot, keys: new Map(), roles: new Map() } as const
  return withKeys({ ...empty, ...common(1, context) }, roles)
}

/** Root N+1 with other keys for the roles named in `change`. Keys that no role uses any more leave. */
export function nextRoot(root: Root, change: Partial<RootKeys>, context: EditContext): Root {
  return withKeys({ ...root, ...common(root.version + 1, context) }, change)
}

/** The keys a root lists for a role, with the role's threshold. */
export function keySetOf(root: Root, name: RoleName): KeySet {
  const role = root.roles.get(name)
  const keys = role?.keyids.flatMap((id) => root.keys.get(id) ?? []) ?? []
  return { keys, threshold: role?.threshold ?? 1 }
}

export type TargetsChange = {
  readonly set?: ReadonlyMap<string, TargetFile>
  readonly remove?: ReadonlySet<string>
  /** `undefined` leaves them, `null` takes them out. */
  readonly delegations?: Delegations | null
}

/** Version 1 of targets or of a delegated role. */
export function firstTargets(change: TargetsChange, context: EditContext): Targets {
  const empty: Targets = { type: 'targets', ...common(1, context), unknown: NOTHING, targets: new Map() }
  return changed(empty, change)
}

/** The next version of targets or of a delegated role. With no change it only lives longer. */
export function nextTargets(targets: Targets, change: TargetsChange, context: EditContext): Targets {
  return changed({ ...targets, ...common(targets.version + 1, context) }, change)
}

function changed(targets: Targets, { set, remove, delegations }: TargetsChange): Targets {
  const next = new Map(targets.targets)
  for (const path of remove ?? []) next.delete(path)
  for (const [path, target] of set ?? []) next.set(path, target)
  const { delegations: before, ...rest } = targets
  const after = delegations === undefined ? before : (delegations ?? undefined)
  return { ...rest, targets: next, ...(after === undefined ? {} : { delegations: after }) }
}

/** The next snapshot. `listed` is laid over what was listed before: a role never leaves (5.5.5). */
export function nextSnapshot(
  previous: Snapshot | undefined,
  listed: ReadonlyMap<RoleName, Version>,
  context: EditContext,
): Snapshot {
  const meta = new Map<RoleName, FileMeta>(previous?.meta)
  for (const [role, listedVersion] of listed) meta.set(role, { version: listedVersion, unknown: NOTHING })
  const unknown = previous?.unknown ?? NOTHING
  return { type: 'snapshot', ...common((previous?.version ?? 0) + 1, context), unknown, meta }
}

/** The next timestamp, which says how long the snapshot file is and what it hashes to. */
export function nextTimestamp(
  previous: Timestamp | undefined,
  snapshot: Omit<FileMeta, 'unknown'>,
  context: EditContext,
): Timestamp {
  const unknown = previous?.unknown ?? NOTHING
  const next = common((previous?.version ?? 0) + 1, context)
  return { type: 'timestamp', ...next, unknown, snapshot: { ...snapshot, unknown: NOTHING } }
}

function common(next: number, { codec, expires }: EditContext) {
  const expiresText = codec.date(expires)
  return { version: version(next), expires: instant(Math.floor(expires / 1000) * 1000), expiresText }
}

function withKeys(root: Root, change: Partial<RootKeys>): Root {
  const keys = new Map(root.keys)
  const roles = new Map(root.roles)
  for (const [name, set] of [
    [ROOT, change.root],
    [TIMESTAMP, change.timestamp],
    [SNAPSHOT, change.snapshot],
    [TARGETS, change.targets],
  ] as const) {
    if (set === undefined) continue
    for (const key of set.keys) keys.set(key.id, key)
    roles.set(name, roleKeys(set, roles.get(name)?.unknown))
  }
  return { ...root, roles, keys: usedKeys(roles.values(), keys) }
}

/** Those of the keys that a role names. */
export function usedKeys(
  roles: Iterable<RoleKeys>,
  keys: ReadonlyMap<KeyId, PublicKey>,
): ReadonlyMap<KeyId, PublicKey> {
  const used = new Set<KeyId>()
  for (const { keyids } of roles) for (const id of keyids) used.add(id)
  return new Map([...keys].filter(([id]) => used.has(id)))
}

/** A role's entry for these keys. Throws MALFORMED for a threshold that they could never meet. */
export function roleKeys(set: KeySet, unknown: Unknown = NOTHING): RoleKeys {
  const keyids = [...new Set(set.keys.map(({ id }) => id))]
  const needed = threshold(set.threshold)
  if (needed > keyids.length) {
    throw new TrustError('MALFORMED', { what: 'threshold', got: `${needed} of ${keyids.length} keys` })
  }
  return { keyids, threshold: needed, unknown }
}
