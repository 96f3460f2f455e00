import type { Kek } from '../../keys/kek.ts'
import { makeOnlineKey, openOnlineKey } from '../../keys/online.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { keyFields, readPublicKey, signAs } from '../../keys/public-key.ts'
import { roleName, tufCodec } from '../../tuf/index.ts'
import type { Codec, KeyId, PublicKey, Root, Signature } from '../../tuf/index.ts'
import { Problem, invalidUpdate } from '../problem.ts'
import type { OnlineKeyRecord, OnlineRole, Store } from '../storage/store.ts'

export const ONLINE_ROLES: readonly OnlineRole[] = ['timestamp', 'snapshot']
/** Who may sign, and how its dialect writes keys. */
export type Standing = { readonly root: Root; readonly codec: Codec }

/** The keys this server signs snapshot and timestamp with, one set for each repository. */
export type OnlineKeys = {
  /** The key that the root names or, before there is one, the key that it should name. */
  readonly offer: (repository: string, role: OnlineRole, standing?: Prospect) => Promise<PublicKey>
  /** Another key, for the next root to name; where `most` wait for that already, the last one of those. */
  readonly renew: (repository: string, role: OnlineRole, standing: Prospect, most: number) => Promise<Renewed>
  /**
   * Throws INVALID_UPDATE where the root gives an online role to a key that is not ours, unless publishers may hold
   * `theirs`; or where it asks for too many.
   */
  readonly refuseForeign: (repository: string, standing: Standing, theirs: ReadonlySet<OnlineRole>) => Promise<void>
  /** Whether enough of the role's keys are here to sign it. */
  readonly holds: (repository: string, role: OnlineRole, standing: Standing) => Promise<boolean>
  /** Keys that the one root names and the other does not, by the ids under which they are kept. */
  readonly retired: (repository: string, before: Root, standing: Standing) => Promise<readonly KeyId[]>
  /** Throws SIGNING_UNAVAILABLE. */
  readonly sign: (
    repository: string,
    role: OnlineRole,
    standing: Standing,
    payload: Uint8Array,
  ) => Promise<readonly Signature[]>
}

/** The same where there may be no root yet; of TUF 1.0 unless it says otherwise. */
export type Prospect = Partial<Standing>
/** `made`: it did not exist before. */
export type Renewed = { readonly key: PublicKey; readonly made: boolean }

export type OnlineKeyOptions = { readonly store: Store; readonly kek: Kek; readonly clock: () => number }

export function makeOnlineKeys({ store, kek, clock }: OnlineKeyOptions): OnlineKeys {
  const { keys } = store
  async function make(repository: string, role: OnlineRole): Promise<OnlineKeyRecord> {
    const { public: material, sealed } = await makeOnlineKey(kek, { repository, role })
    const key = tufCodec.key(keyFields(material, 'tuf-1.0'), nativeSuite)
    const { id: keyid, keytype, scheme } = key
    return { repository, role, keyid, keytype, scheme, public: key.public, sealed, createdAt: clock() }
  }
  const named = async (repository: string, role: OnlineRole, standing: Standing) =>
    (await keys.list(repository, role)).filter((record) => names(standing.root, role, keyOf(record, standing.codec)))
  return {
    async offer(repository, role, { codec = tufCodec, root } = {}) {
      const offered = (kept: readonly OnlineKeyRecord[]) =>
        kept.find((record) => names(root, role, keyOf(record, codec))) ?? kept.at(-1)
      const chosen = offered(await keys.list(repository, role))
      return keyOf(chosen ?? (await keys.add(await make(repository, role), offered)), codec)
    },
    async renew(repository, role, { codec = tufCodec, root }, most) {
      const enough = (kept: readonly OnlineKeyRecord[]) => {
        const pending = kept.filter((record) => !names(root, role, keyOf(record, codec)))
        return pending.length >= most ? pending.at(-1) : undefined
      }
      const fresh = await make(repository, role)
      const kept = await keys.add(fresh, enough)
      return { key: keyOf(kept, codec), made: kept.keyid === fresh.keyid }
    },
    async refuseForeign(repository, standing, theirs) {
      for (const role of ONLINE_ROLES) {
        const held = await named(repository, role, standing)
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
      return (await named(repository, role, standing)).length >= needed(standing, role)
    },
    async retired(repository, before, standing) {
      const gone = await Promise.all(
        ONLINE_ROLES.map(async (role) => {
          const held = await named(repository, role, { ...standing, root: before })
          return held.filter((record) => !names(standing.root, role, keyOf(record, standing.codec)))
        }),
      )
      return gone.flat().map(({ keyid }) => keyid)
    },
    async sign(repository, role, standing, payload) {
      const held = await named(repository, role, standing)
      if (held.length < needed(standing, role)) throw new Problem('SIGNING_UNAVAILABLE', { repository, role })
      return Promise.all(held.map((record) => signWith(kek, record, standing.codec, payload)))
    },
  }
}

function needed({ root }: Standing, role: OnlineRole): number {
  return root.roles.get(roleName(role))?.threshold ?? 1
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

/** Opened for one signature: the private half is in memory for no longer than that. */
async function signWith(kek: Kek, record: OnlineKeyRecord, codec: Codec, payload: Uint8Array): Promise<Signature> {
  const { repository, role, keyid, sealed } = record
  try {
    const signer = openOnlineKey(kek, { repository, role }, { id: keyid, sealed })
    try {
      return await signAs(keyOf(record, codec), signer, payload)
    } finally {
      signer.close()
    }
  } catch (cause) {
    throw new Problem('SIGNING_UNAVAILABLE', { repository, role }, { cause })
  }
}
