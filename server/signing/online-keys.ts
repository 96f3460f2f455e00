import type { Kek } from '../../keys/kek.ts'
import { makeOnlineKey, openOnlineKey } from '../../keys/online.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { toTufFields } from '../../keys/tuf-key.ts'
import { roleName, tufCodec } from '../../tuf/index.ts'
import type { PublicKey, Root, Signature } from '../../tuf/index.ts'
import { Problem, invalidUpdate } from '../problem.ts'
import type { OnlineKeyRecord, OnlineRole, Store } from '../storage/store.ts'

export const ONLINE_ROLES: readonly OnlineRole[] = ['timestamp', 'snapshot']
/** Keys that were asked for and that no root names yet, for one role of one repository. */
const MAX_PENDING = 32

type Held = Pick<OnlineKeyRecord, 'keytype' | 'scheme' | 'public'>

/** The keys this server signs snapshot and timestamp with, one set for each repository. */
export type OnlineKeys = {
  /** The key that the root names or, before there is one, the key that it should name. */
  readonly offer: (repository: string, role: OnlineRole, root?: Root) => Promise<PublicKey>
  /** Another key, for the next root to name; where too many wait for that, one of those. */
  readonly renew: (repository: string, role: OnlineRole, root?: Root) => Promise<Renewed>
  /** Throws INVALID_UPDATE where the root gives an online role to a key that is not ours, or asks for too many. */
  readonly refuseForeign: (repository: string, root: Root) => Promise<void>
  /** Throws SIGNING_UNAVAILABLE. */
  readonly sign: (repository: string, role: OnlineRole, root: Root, payload: Uint8Array) => Promise<Signature[]>
}

/** `made`: it did not exist before. */
export type Renewed = { readonly key: PublicKey; readonly made: boolean }

export type OnlineKeyOptions = { readonly store: Store; readonly kek: Kek; readonly clock: () => number }

export function makeOnlineKeys({ store, kek, clock }: OnlineKeyOptions): OnlineKeys {
  const { keys } = store
  async function make(repository: string, role: OnlineRole): Promise<OnlineKeyRecord> {
    const made = await makeOnlineKey(kek, { repository, role })
    const key = publicKey(toTufFields(made.public))
    const { keytype, scheme } = key
    return {
      repository,
      role,
      keyid: key.id,
      keytype,
      scheme,
      public: key.public,
      sealed: made.sealed,
      createdAt: clock(),
    }
  }
  return {
    async offer(repository, role, root) {
      const kept = await keys.list(repository, role)
      const chosen = offered(kept, role, root)
      if (chosen !== undefined) return publicKey(chosen)
      return publicKey(await keys.add(await make(repository, role), (now) => offered(now, role, root)))
    },
    async renew(repository, role, root) {
      const enough = (kept: readonly OnlineKeyRecord[]) => {
        const pending = kept.filter(({ keyid }) => !names(root, role, keyid))
        return pending.length >= MAX_PENDING ? pending.at(-1) : undefined
      }
      const fresh = await make(repository, role)
      const kept = await keys.add(fresh, enough)
      return { key: publicKey(kept), made: kept.keyid === fresh.keyid }
    },
    async refuseForeign(repository, root) {
      for (const role of ONLINE_ROLES) {
        const held = new Set((await keys.list(repository, role)).map(({ keyid }) => keyid))
        const { keyids, threshold } = root.roles.get(roleName(role)) ?? { keyids: [], threshold: 1 }
        const foreign = keyids.find((keyid) => !held.has(keyid))
        if (foreign !== undefined) throw invalidUpdate('KEY_NOT_HELD', { role, keyid: foreign })
        if (keyids.length < threshold)
          throw invalidUpdate('ONLINE_THRESHOLD', { role, need: threshold, have: keyids.length })
      }
    },
    async sign(repository, role, root, payload) {
      const held = (await keys.list(repository, role)).filter(({ keyid }) => names(root, role, keyid))
      const need = root.roles.get(roleName(role))?.threshold ?? 1
      if (held.length < need) throw new Problem('SIGNING_UNAVAILABLE', { repository, role })
      return Promise.all(held.map((key) => signWith(kek, key, payload)))
    },
  }
}

function offered(kept: readonly OnlineKeyRecord[], role: OnlineRole, root: Root | undefined) {
  return kept.find(({ keyid }) => names(root, role, keyid)) ?? kept.at(-1)
}

function names(root: Root | undefined, role: OnlineRole, keyid: OnlineKeyRecord['keyid']): boolean {
  return root?.roles.get(roleName(role))?.keyids.includes(keyid) === true
}

function publicKey({ keytype, scheme, public: text }: Held): PublicKey {
  return tufCodec.key({ keytype, scheme, public: text }, nativeSuite)
}

/** Opened for one signature: the private half is in memory for no longer than that. */
async function signWith(kek: Kek, key: OnlineKeyRecord, payload: Uint8Array): Promise<Signature> {
  const { repository, role, keyid, sealed } = key
  try {
    const signer = openOnlineKey(kek, { repository, role }, { id: keyid, sealed })
    try {
      return { keyid, sig: await signer.sign(payload), unknown: new Map() }
    } finally {
      signer.close()
    }
  } catch (cause) {
    throw new Problem('SIGNING_UNAVAILABLE', { repository, role }, { cause })
  }
}
