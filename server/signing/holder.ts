import type { OnlineRole } from '../../keys/online.ts'
import type { PublicMaterial } from '../../keys/signer.ts'
import type { Codec, PublicKey, Signature, Snapshot, Timestamp } from '../../tuf/index.ts'
import type { HeldAt, OnlineKeyRecord } from '../storage/store.ts'

/** The public half of a new key, and how storage says where the private one is. */
export type MadeKey = HeldAt & { readonly public: PublicMaterial }

/** What is to be signed, as the model has it: which bytes that are is for whoever signs to say. */
export type ToSign = {
  /** As its dialect lists it. */
  readonly key: PublicKey
  readonly codec: Codec
  readonly body: Snapshot | Timestamp
}

/** Where the private halves of online keys are: in the database, on a token, behind a program or another process. */
export type KeyHolder = {
  /** Whether it made this key. */
  readonly holds: (record: OnlineKeyRecord) => boolean
  /** A new key for one role of one repository. Throws KeyError. */
  readonly make: (purpose: OnlineRole) => Promise<MadeKey>
  /** One that never signed, for a repository that begins; absent where any key will do for that. */
  readonly unused?: (purpose: OnlineRole) => Promise<MadeKey>
  /** Throws KeyError, and VersionSpent. */
  readonly sign: (record: OnlineKeyRecord, toSign: ToSign) => Promise<Signature>
  /** Told what was published, which nothing may go back behind; absent where nobody listens. */
  readonly published?: (record: OnlineKeyRecord, version: number) => Promise<void>
  /** What keeps it from signing now; undefined where nothing does. */
  readonly notReady: () => Promise<string | undefined>
  readonly close: () => Promise<void>
}

/** Another file was signed under that version already: only a higher one can be. */
export class VersionSpent extends Error {
  override readonly name = 'VersionSpent'
  readonly last: number
  constructor(last: number) {
    super(`version ${last} is signed already`)
    this.last = last
  }
}
