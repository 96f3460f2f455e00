/** The signer without its socket: what it is asked, what it remembers, what it answers. */
import { hash } from '../../keys/digest.ts'
import { isKeyError } from '../../keys/errors.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { keyFields, readPublicKey } from '../../keys/public-key.ts'
import type { OnlineRole } from '../../keys/online.ts'
import { DEFAULT_LIMITS, encodeText, isTrustError, notaryCodec, tufCodec } from '../../tuf/index.ts'
import type { Codec, Limits, PublicKey, Signature, Snapshot, Timestamp } from '../../tuf/index.ts'
import { makeQueue } from '../publish/queue.ts'
import type { MadeKey } from '../signing/holder.ts'
import type { Holders } from '../signing/holders.ts'
import type { OnlineKeyRecord } from '../storage/store.ts'
import { Refusal } from './refusal.ts'
import { acceptNext, listingOf } from './rules.ts'
import type { Bounds } from './rules.ts'
import type { SignerKey, SignerStore } from './store.ts'

export type SignRequest = OnlineRole & {
  readonly keyid: string
  readonly dialect: Codec['dialect']
  /** The file that is to be signed, still without signatures. */
  readonly file: string
}
/** What was signed, for the answer and the audit. */
export type Signing = { readonly signature: Signature; readonly version: number; readonly sha256: string }

export type SigningService = {
  /** Throws Refusal; then nothing is signed and nothing remembered. */
  readonly sign: (request: SignRequest) => Promise<Signing>
  /** Another key, or with `unused` one that never signed if there is one. Throws Refusal. */
  readonly make: (purpose: OnlineRole & { readonly unused: boolean }) => Promise<OnlineKeyRecord>
  /** Throws Refusal. */
  readonly published: (told: OnlineRole & { readonly keyid: string; readonly version: number }) => Promise<void>
  readonly idle: () => Promise<void>
}

export type SigningOptions = {
  readonly store: SignerStore
  readonly holders: Holders
  readonly clock: () => number
  readonly monotonic: () => number
  readonly limits: Pick<Limits, 'timestamp' | 'snapshot' | 'jsonDepth' | 'signatures'>
  readonly bounds: (dialect: Codec['dialect'], role: OnlineRole['role']) => Bounds
  readonly maxKeys: number
  readonly maxKeysPerRole: number
  readonly shared: boolean
}

const CODECS = { 'tuf-1.0': tufCodec, 'notary-v1': notaryCodec } as const
/** New keys at once, and in a second: enough for a company that moves here, and no way to fill a token overnight. */
const [KEY_BURST, KEY_RATE] = [2000, 5]

export function makeSigning(options: SigningOptions): SigningService {
  const { store, holders, clock, bounds } = options
  const queue = makeQueue()
  const allow = keyAllowance(options.monotonic)
  const inTurn = <T>({ repository, role }: OnlineRole, work: () => Promise<T>) =>
    queue.run(`${role} ${repository}`, work)

  return {
    sign: (request) =>
      inTurn(request, async () => {
        const key = heldKey(store, request)
        const codec = CODECS[request.dialect]
        const { body, payload } = decodeRequest(request, codec, options.limits)
        const asked = { role: request.role, body, sha256: hash('sha256', payload), now: clock() }
        const mark = store.mark(request.repository, request.role)
        const next = acceptNext(mark, store.listings(key), asked, bounds(request.dialect, request.role))
        const toSign = { key: listed(key, codec), codec, body }
        const signature = await usable(async () => holders.of(key).sign(key, toSign))
        store.signed(key, next, listingOf(body)) // on the disk before anybody has the signature
        return { signature, version: body.version, sha256: asked.sha256 }
      }),
    make: ({ unused, ...purpose }) =>
      inTurn(purpose, async () => {
        const kept = store.keys(purpose.repository, purpose.role)
        const found = unused ? kept.find((key) => !key.hasSigned && holders.current.holds(key)) : undefined
        if (found !== undefined) return found
        refuseTooMany(options, purpose, kept.length)
        if (!allow()) throw new Refusal('TOO_MANY_REQUESTS', { what: 'new keys' })
        const record = recordOf(purpose, await usable(async () => holders.current.make(purpose)), clock())
        refuseOthers(options, record, kept)
        store.add(record)
        return record
      }),
    published: (told) => inTurn(told, async () => store.published(heldKey(store, told), told.version)),
    idle: () => queue.idle(),
  }
}

function heldKey(store: SignerStore, { repository, role, keyid }: OnlineRole & { readonly keyid: string }): SignerKey {
  const key = store.keys(repository, role).find((each) => each.keyid === keyid)
  if (key === undefined) throw new Refusal('KEY_NOT_HELD', { keyid, repository, role })
  return key
}

type Decoded = { readonly body: Snapshot | Timestamp; readonly payload: Uint8Array }

/** A file of that role and nothing else. What is signed is made of what was understood, never taken as it came. */
function decodeRequest({ role, file }: SignRequest, codec: Codec, limits: SigningOptions['limits']): Decoded {
  const bytes = encodeText(file)
  const limit = { ...limits, ...codec.limits }[role]
  if (bytes.length > limit) throw new Refusal('TOO_LARGE', { what: `the ${role}`, limit })
  const context = { suite: nativeSuite, limits: { ...DEFAULT_LIMITS, ...limits } }
  const { body, payload, signatures } = decoded(role, () => codec.decode(role, bytes, context))
  if (signatures.length > 0) throw new Refusal('NOT_METADATA', { role, reason: 'it is signed already' })
  const again = decoded(role, () => codec.encode(body))
  if (hasStrangers(body) || Buffer.compare(again, payload) !== 0) {
    throw new Refusal('NOT_METADATA', { role, reason: 'it has more to it than such a file' })
  }
  return { body, payload }
}

/** Members that mean nothing to us are kept by others (ADR 0008), and signed by nobody here. */
function hasStrangers(body: Snapshot | Timestamp): boolean {
  const files = body.type === 'timestamp' ? [body.snapshot] : [...body.meta.values()]
  return body.unknown.size > 0 || files.some(({ unknown }) => unknown.size > 0)
}

function decoded<T>(role: string, decode: () => T): T {
  try {
    return decode()
  } catch (error) {
    if (!isTrustError(error)) throw error
    throw new Refusal('NOT_METADATA', { role, reason: error.message.slice(0, 300) }, { cause: error })
  }
}

function listed(key: OnlineKeyRecord, codec: Codec): PublicKey {
  return codec.key(keyFields(readPublicKey(key), codec.dialect), nativeSuite)
}

function recordOf(purpose: OnlineRole, { public: material, ...heldAt }: MadeKey, createdAt: number): OnlineKeyRecord {
  const { id: keyid, keytype, scheme, ...key } = tufCodec.key(keyFields(material, 'tuf-1.0'), nativeSuite)
  return { ...purpose, ...heldAt, keyid, keytype, scheme, public: key.public, createdAt }
}

function refuseTooMany({ store, maxKeys, maxKeysPerRole }: SigningOptions, purpose: OnlineRole, kept: number): void {
  if (kept >= maxKeysPerRole) {
    throw new Refusal('TOO_MANY_KEYS', { what: `the ${purpose.role} of ${purpose.repository}`, limit: maxKeysPerRole })
  }
  if (store.count() >= maxKeys) throw new Refusal('TOO_MANY_KEYS', { what: 'this signer', limit: maxKeys })
}

function refuseOthers({ store, shared }: SigningOptions, key: OnlineKeyRecord, kept: readonly SignerKey[]): void {
  if (!shared && store.isElsewhere(key.keyid, key.repository)) {
    throw new Refusal('SIGNING_UNAVAILABLE', { reason: 'the key of another repository was given' })
  }
  if (kept.some(({ keyid }) => keyid === key.keyid)) {
    throw new Refusal('SIGNING_UNAVAILABLE', { reason: 'there is no other key' })
  }
}

async function usable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isKeyError(error)) throw error
    throw new Refusal('SIGNING_UNAVAILABLE', { reason: error.code }, { cause: error })
  }
}

function keyAllowance(monotonic: () => number): () => boolean {
  let [credit, at] = [KEY_BURST, monotonic()]
  return () => {
    const now = monotonic()
    credit = Math.min(KEY_BURST, credit + ((now - at) / 1000) * KEY_RATE)
    at = now
    if (credit < 1) return false
    credit -= 1
    return true
  }
}
