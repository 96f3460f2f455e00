import { hash } from '../../keys/digest.ts'

/** What this machine saw of a repository. Versions are 0 where nothing was seen. */
export type Seen = {
  /** Whose word the cached root descends from: a fingerprint of the pin. */
  readonly anchor: string
  /** The pin under which the rest was seen. Another one than `anchor` until a chain from that one was walked to its end. */
  readonly under: string
  /** The latest instant at which metadata was found fresh, in milliseconds. */
  readonly time: number
  readonly root: number
  /** sha256 of that root's file. */
  readonly rootHash: string
  /** The online keys under which the versions below were seen: with other keys they mean nothing (5.3.11). */
  readonly online: string
  readonly timestamp: number
  readonly snapshot: number
  /** Version of each role that the newest snapshot listed. */
  readonly listed: ReadonlyMap<string, number>
  /** The version inside of targets, and the keys that signed it, where the snapshot lists no versions. */
  readonly targets?: SeenRole | undefined
  /** The same of delegated roles. */
  readonly delegated?: ReadonlyMap<string, SeenRole> | undefined
}
export type SeenRole = { readonly keys: string; readonly version: number }

type Written = Omit<Seen, 'listed' | 'delegated'> & {
  readonly listed: readonly [string, number][]
  readonly delegated?: readonly [string, SeenRole][]
}
const parse: (text: string) => Written = JSON.parse

const MAGIC = 'tagseal-seen-1'

export function nothingSeen(anchor: string): Seen {
  return {
    anchor,
    under: anchor,
    time: 0,
    root: 0,
    rootHash: '',
    online: '',
    timestamp: 0,
    snapshot: 0,
    listed: new Map(),
  }
}

/**
 * One record of two, for processes that finish in any order. Of different online keys those of the newer root hold;
 * under equal keys every version only grows.
 */
export function mergeSeen(disk: Seen, mine: Seen): Seen {
  const time = Math.max(disk.time, mine.time)
  if (disk.online !== mine.online) return { ...(isBehind(mine, disk) ? disk : mine), time }
  const newest = mine.root < disk.root ? disk : mine
  return {
    anchor: mine.anchor,
    under: mine.under,
    time,
    root: newest.root,
    rootHash: newest.rootHash,
    online: mine.online,
    timestamp: Math.max(disk.timestamp, mine.timestamp),
    snapshot: Math.max(disk.snapshot, mine.snapshot),
    listed: higher(disk.listed, mine.listed),
    targets: newerTargets(disk, mine),
    delegated: bothOf(disk.delegated, mine.delegated),
  }
}

/** Whether `mine` knows only an older link of the chain that `disk` knows. */
export function isBehind(mine: Seen, disk: Seen): boolean {
  return mine.under === disk.under && mine.root < disk.root
}

/** Under other keys versions begin anew; those of the newer root hold. */
function newerTargets(disk: Seen, mine: Seen): Seen['targets'] {
  const [theirs, ours] = [disk.targets, mine.targets]
  if (theirs === undefined || ours === undefined) return ours ?? theirs
  if (theirs.keys !== ours.keys) return mine.root < disk.root ? theirs : ours
  return ours.version < theirs.version ? theirs : ours
}

/** Of a role that both know, `mine` was looked at last; under the same keys it only grows. */
function bothOf(disk: Seen['delegated'], mine: Seen['delegated']): Seen['delegated'] {
  if (disk === undefined || mine === undefined) return mine ?? disk
  const both = new Map(disk)
  for (const [role, seen] of mine) {
    const known = disk.get(role)
    both.set(role, known?.keys === seen.keys && seen.version < known.version ? known : seen)
  }
  return both
}

function higher(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const both = new Map(a)
  for (const [role, version] of b) both.set(role, Math.max(version, both.get(role) ?? 0))
  return both
}

/** The first line guards the rest against damage, not against whoever may write here: that one owns this machine. */
export function encodeSeen(seen: Seen): Uint8Array {
  const delegated = seen.delegated === undefined ? {} : { delegated: [...seen.delegated] }
  const body = Buffer.from(JSON.stringify({ ...seen, listed: [...seen.listed], ...delegated }))
  return Buffer.concat([Buffer.from(`${MAGIC} ${hash('sha256', body)}\n`), body])
}

/** undefined where it is damaged. The checksum stands for the shape: by accident only `encodeSeen` makes one that fits. */
export function decodeSeen(bytes: Uint8Array): Seen | undefined {
  const end = Math.max(bytes.indexOf(0x0a), 0)
  const body = bytes.subarray(end + 1)
  if (textOf(bytes.subarray(0, end)) !== `${MAGIC} ${hash('sha256', body)}`) return undefined
  try {
    const { listed, delegated, ...rest } = parse(textOf(body))
    const roles = delegated === undefined ? {} : { delegated: new Map(delegated) }
    return { ...rest, listed: new Map(listed), ...roles }
  } catch {
    return undefined // somebody wrote nonsense and its checksum
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
