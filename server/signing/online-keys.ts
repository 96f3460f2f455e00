import { isKeyError } from '../../keys/errors.ts'
import type { AnyKeyError } from '../../keys/errors.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { keyFields, readPublicKey } from '../../keys/public-key.ts'
import { roleName, tufCodec } from '../../tuf/index.ts'
import type { Codec, KeyId, PublicKey, RoleName, Root, Signature, Snapshot, Timestamp } from '../../tuf/index.ts'
import { Problem, invalidUpdate } from '../problem.ts'
import type { OnlineKeyRecord, OnlineRole, Store } from '../storage/store.ts'
import type { KeyHolder } from './holder.ts'
import type { Holders } from './holders.ts'
import { SignerRefusal } from './signer-client.ts'

export const ONLINE_ROLES: readonly OnlineRole[] = ['timestamp', 'snapshot']
/** Who may sign, and how its dialect writes keys. */
export type Standing = { readonly root: Root; readonly codec: Codec }

/** The keys this server signs snapshot and timestamp with, one set for each repository. */
export type OnlineKeys = {
  /** Whether some may be outside of this process, where a signature costs more and is remembered. */
  readonly outside: boolean
  /** The key that the root names or, before there is one, the key that it should name. */
  readonly offer: (repository: string, role: OnlineRole, standing?: Prospect) => Promise<PublicKey>
  /** Another key, for the next root to name; where `most` wait for that already, the last one of those. */
  readonly renew: (repository: string, role: OnlineRole, standing: Prospect, most: number) => Promise<Renewed>
  /**
   * One that is made now, for whoever copied the database has those that wait as well. These go when a root names it, and
   * not before: another root that names one of them may be on its way through many hands. Of more than `most` the oldest go.
   */
  readonly replace: (repository: string, role: OnlineRole, standing: Standing, most: number) => Promise<PublicKey>
  /**
   * Throws INVALID_UPDATE where the root gives an online role to a key that is not ours, unless publishers may hold
   * `theirs`; or where it asks for too many.
   */
  readonly refuseForeign: (repository: string, standing: Standing, theirs: ReadonlySet<OnlineRole>) => Promise<void>
  /** Whether enough of the role's keys are here to sign it. */
  readonly holds: (repository: string, role: OnlineRole, standing: Standing) => Promise<boolean>
  /**
   * Keys that the one root names and the other does not, by the ids under which they are kept; with those of the role
   * that no root came to name.
   */
  readonly retired: (repository: string, before: Root, standing: Standing) => Promise<readonly KeyId[]>
  /**
   * Tells whoever keeps the keys that this was published, so that they sign nothing behind it. Never fails: what is
   * published is published, and the next time they are told again.
   */
  readonly published: (repository: string, versions: ReadonlyMap<OnlineRole, number>) => Promise<void>
  /** Throws SIGNING_UNAVAILABLE, and VersionSpent. */
  readonly sign: (
    repository: string,
    role: OnlineRole,
    standing: Standing,
    body: Snapshot | Timestamp,
  ) => Promise<readonly Signature[]>
}

/** The same where there may be no root yet; of TUF 1.0 unless it says otherwise. */
export type Prospect = Partial<Standing>
/** `made`: it did not exist before. */
export type Renewed = { readonly key: PublicKey; readonly made: boolean }

export type OnlineKeyOptions = {
  readonly store: Pick<Store, 'keys'>
  readonly holders: Holders
  readonly clock: () => number
  /** One key may sign for several repositories: see `sharedOnlineKey`. */
  readonly shared?: boolean
  /** Told what nobody waits for. */
  readonly failed: (error: unknown) => void
}

export function makeOnlineKeys({ store, holders, clock, failed, shared = false }: OnlineKeyOptions): OnlineKeys {
  const { keys } = store
  const { current } = holders
  async function made(purpose: Purpose, make: KeyHolder['make']): Promise<OnlineKeyRecord> {
    const { public: material, ...heldAt } = await translated(purpose, () => make(purpose))
    const { id: keyid, keytype, scheme, ...key } = tufCodec.key(keyFields(material, 'tuf-1.0'), nativeSuite)
    // Its timestamps would be good in the other repository as well, and could take that one back.
    if (!shared && (await keys.isElsewhere(keyid, purpose.repository))) {
      throw unavailable(purpose, 'its signer gives the key of another repository')
    }
    return { ...purpose, ...heldAt, keyid, keytype, scheme, public: key.public, createdAt: clock() }
  }
  const named = async ({ repository, role }: Purpose, standing: Standing) =>
    (await keys.list(repository, role)).filter((record) => names(standing.root, role, keyOf(record, standing.codec)))
  async function first(purpose: Purpose, kept: readonly OnlineKeyRecord[]): Promise<OnlineKeyRecord> {
    const last = (list: readonly OnlineKeyRecord[]) => list.findLast((record) => current.holds(record))
    const { unused } = current
    if (unused === undefined) return last(kept) ?? keys.add(await made(purpose, current.make), last)
    const key = await made(purpose, unused)
    return keys.add(key, (now) => now.find(({ keyid }) => keyid === key.keyid))
  }
  return {
    outside: holders.outside,
    async offer(repository, role, { codec = tufCodec, root } = {}) {
      const kept = await keys.list(repository, role)
      const chosen = kept.find((record) => names(root, role, keyOf(record, codec)))
      return keyOf(chosen ?? (await first({ repository, role }, kept)), codec)
    },
    async renew(repository, role, { codec = tufCodec, root }, most) {
      const enough = (kept: readonly OnlineKeyRecord[]) => {
        const pending = kept.filter((record) => current.holds(record) && !names(root, role, keyOf(record, codec)))
        return pending.length >= most ? pending.at(-1) : undefined
      }
      const kept = await keys.list(repository, role)
      const instead = enough(kept)
      if (instead !== undefined) return { key: keyOf(instead, codec), made: false }
      const fresh = await made({ repository, role }, current.make)
      if (kept.some(({ keyid }) => keyid === fresh.keyid)) {
        throw unavailable({ repository, role }, 'its signer has no other key')
      }
      const added = await keys.add(fresh, enough)
      return { key: keyOf(added, codec), made: added.keyid === fresh.keyid }
    },
    async replace(repository, role, { codec, root }, most) {
      const crowded = (kept: readonly OnlineKeyRecord[]) => {
        const pending = kept.filter((record) => !names(root, role, keyOf(record, codec)))
        return pending.slice(0, Math.max(0, pending.length + 1 - most))
      }
      const fresh = await made({ repository, role }, current.make)
      if ((await keys.list(repository, role)).some(({ keyid }) => keyid === fresh.keyid)) {
        throw unavailable({ repository, role }, 'its signer has no other key')
      }
      return keyOf(await keys.add(fresh, () => undefined, crowded), codec)
    },
    async refuseForeign(repository, standing, theirs) {
      for (const role of ONLINE_ROLES) {
        const held = await named({ repository, role }, standing)
        const ids = new Set(held.map((record) => keyOf(record, standing.codec).id))
        const { keyids, threshold } = standing.root.roles.get(roleName(role)) ?? { keyids: [], threshold: 1 }
        const foreign = keyids.find((keyid) => !ids.has(keyid))
        if (foreign !== undefined && theirs.has(role)) continue
        if (foreign !== undefined) throw invalidUpdate('KEY_NOT_HELD', { role, keyid: foreign })
        if (keyids.length < threshold)
          throw invalidUpdate('ONLINE_THRESHOLD', { role, need: threshold, have: keyids.length })
      }
    },
    async holds(repository, role, standing) {
      return (await named({ repository, role }, standing)).length >= needed(standing, role)
    },
    async retired(repository, before, standing) {
      const gone = await Promise.all(
        ONLINE_ROLES.map(async (role) => {
          if (sameKeys(before, standing.root, role)) return []
          const held = await keys.list(repository, role)
          return held.filter((record) => !names(standing.root, role, keyOf(record, standing.codec)))
        }),
      )
      return gone.flat().map(({ keyid }) => keyid)
    },
    async published(repository, versions) {
      if (!holders.outside) return // those in the database remember nothing
      for (const [role, version] of versions) {
        for (const record of await keys.list(repository, role)) {
          try {
            await holders.of(record).published?.(record, version)
          } catch (error) {
            failed(error)
          }
        }
      }
    },
    async sign(repository, role, standing, body) {
      const held = await named({ repository, role }, standing)
      const { codec } = standing
      if (held.length < needed(standing, role)) throw unavailable({ repository, role })
      const signing = held.map((record) => {
        const toSign = { key: keyOf(record, codec), codec, body }
        return translated({ repository, role }, async () => holders.of(record).sign(record, toSign))
      })
      return Promise.all(signing)
    },
  }
}

type Purpose = { readonly repository: string; readonly role: OnlineRole }

/** Whatever keeps a key from being used is SIGNING_UNAVAILABLE to the caller; the log has the cause. */
async function translated<T>(purpose: Purpose, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof SignerRefusal) throw unavailable(purpose, `its signer refused: ${error.code}`, error)
    if (!isKeyError(error)) throw error
    throw unavailable(purpose, reasonOf(error), error)
  }
}

function unavailable(purpose: Purpose, reason?: string, cause?: unknown): Problem {
  return new Problem('SIGNING_UNAVAILABLE', { ...purpose, ...(reason === undefined ? {} : { reason }) }, { cause })
}

/** What a caller may know: neither where keys are nor what their signer said. */
function reasonOf(error: AnyKeyError): string | undefined {
  if (error.code === 'SIGNER_TIMEOUT') return `its signer gave no answer within ${error.detail.seconds} seconds`
  return error.code === 'SIGNER_UNAVAILABLE' ? 'its signer cannot be reached' : undefined
}

/** Those of files that a server signs. */
export function onlineVersions(
  files: readonly { readonly role: RoleName; readonly version: number }[],
): ReadonlyMap<OnlineRole, number> {
  const versions = new Map<OnlineRole, number>()
  for (const online of ONLINE_ROLES) {
    const file = files.find(({ role }) => role === roleName(online))
    if (file !== undefined) versions.set(online, file.version)
  }
  return versions
}

function needed({ root }: Standing, role: OnlineRole): number {
  return root.roles.get(roleName(role))?.threshold ?? 1
}

function sameKeys(a: Root, b: Root, role: OnlineRole): boolean {
  const idsOf = (root: Root) => root.roles.get(roleName(role))?.keyids.toSorted().join(',')
  return idsOf(a) === idsOf(b)
}

function names(root: Root | undefined, role: OnlineRole, { id }: PublicKey): boolean {
  return root?.roles.get(roleName(role))?.keyids.includes(id) === true
}

/** To read a key proves that it is no weak one, which costs more than a signature: once is enough. */
const READ_KEYS = 10_000
const read = new Map<string, PublicKey>()

/** Kept as TUF 1.0 lists it; any dialect can list it. */
function keyOf(record: OnlineKeyRecord, codec: Codec): PublicKey {
  const name = `${codec.dialect} ${record.scheme} ${record.public}`
  const known = read.get(name)
  if (known !== undefined) return known
  const key = codec.key(keyFields(readPublicKey(record), codec.dialect), nativeSuite)
  if (read.size >= READ_KEYS) read.clear()
  read.set(name, key)
  return key
}
