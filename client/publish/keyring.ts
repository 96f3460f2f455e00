import { isKeyError } from '../../keys/errors.ts'
import { tufKeyId } from '../../keys/keystore/key-file.ts'
import type { KeyEntry, Keystore } from '../../keys/keystore/keystore.ts'
import type { Signer } from '../../keys/signer.ts'
import { readPublicKey, signAs } from '../../keys/public-key.ts'
import type { Authority, KeyId, PublicKey, Signature } from '../../tuf/index.ts'
import { PublishError } from './errors.ts'

/** The private keys of this machine that may sign for roles. Opened when first used, closed together. */
export type Keyring = {
  /** Whether enough of the role's keys are here. Nobody is asked for a passphrase. */
  readonly canSign: (authority: Authority) => boolean
  /** Whether any of the role's keys is here. Nobody is asked for a passphrase. */
  readonly canHelp: (authority: Authority) => boolean
  /** Throws NO_SIGNING_KEY where `canSign` says no: for what must not begin before it can end. */
  readonly refuseUnable: (authority: Authority) => void
  /** One signature for each key that is needed, and no more. Throws NO_SIGNING_KEY and KEY_NOT_IN_ROLE. */
  readonly sign: (payload: Uint8Array, authorities: readonly Authority[]) => Promise<readonly Signature[]>
  /**
   * One signature by each key of the role that is here and not among `signed`, and no more than are missing. Throws
   * KEY_NOT_IN_ROLE for a named key that signs nothing here.
   */
  readonly signPart: (
    payload: Uint8Array,
    authority: Authority,
    signed: ReadonlySet<KeyId>,
  ) => Promise<readonly Signature[]>
  /** Begins to open the named keys, or the one that carries this name, without waiting. Asks nobody for a passphrase. */
  readonly prepare: (name: string) => void
  readonly close: () => void
}

export type KeyringOptions = {
  readonly keystore: Keystore
  /** Only these keys, and each of them must be one of the role's: what `--key` says. Empty: whichever fit. */
  readonly named: readonly string[]
  /** Passphrases come from a file, so that opening a key interrupts nobody. */
  readonly unattended: boolean
}

export async function openKeyring({ keystore, named, unattended }: KeyringOptions): Promise<Keyring> {
  const here = await entriesFor(keystore, named)
  const byId = new Map(here.entries.map((entry) => [entry.id, entry]))
  const open = new Map<string, Promise<Signer>>()

  const entryOf = (key: PublicKey, id: string) =>
    byId.get(id) ?? (here.named.has(key.id) ? here.every.get(id) : undefined)
  const ownKeys = (authority: Authority) => ownKeysOf(authority, entryOf)
  const signerFor = ({ id }: KeyEntry): Promise<Signer> => {
    const signer = open.get(id) ?? keystore.open(id)
    open.set(id, signer)
    return signer
  }
  return {
    canSign: (authority) => ownKeys(authority).length >= authority.role.threshold,
    canHelp: (authority) => ownKeys(authority).length > 0,
    refuseUnable: (authority) => refuseTooFew(authority, ownKeys(authority).length, named),
    async sign(payload, authorities) {
      const chosen = new Map<KeyId, OwnKey>()
      for (const authority of authorities) {
        const own = ownKeys(authority)
        refuseTooFew(authority, own.length, named)
        for (const each of own.slice(0, Math.max(authority.role.threshold, named.length))) chosen.set(each.key.id, each)
      }
      return await Promise.all(
        [...chosen.values()].map(async ({ key, entry }) => await signAs(key, await signerFor(entry), payload)),
      )
    },
    async signPart(payload, authority, signed) {
      const own = ownKeys(authority)
      const [key] = named
      if (own.length === 0 && key !== undefined)
        throw new PublishError('KEY_NOT_IN_ROLE', { role: authority.name, key })
      const fresh = own.filter((each) => !signed.has(each.key.id))
      const wanted = Math.max(authority.role.threshold - signed.size, named.length)
      return await Promise.all(
        fresh.slice(0, wanted).map(async ({ key: each, entry }) => signAs(each, await signerFor(entry), payload)),
      )
    },
    prepare(name) {
      for (const entry of here.entries) {
        const wanted = named.length > 0 || entry.name === name
        if (wanted && (unattended || !entry.encrypted)) signerFor(entry).catch(() => undefined) // thrown again where it signs
      }
    },
    close() {
      for (const signer of open.values()) signer.then((opened) => opened.close()).catch(() => undefined) // it failed where it was used
    },
  }
}

type Here = {
  readonly entries: readonly KeyEntry[]
  /** Ids that metadata alone can explain, where such were named: a key in a certificate has one of the certificate's. */
  readonly named: ReadonlySet<string>
  readonly every: ReadonlyMap<string, KeyEntry>
}

/** Throws KEY_NOT_FOUND for what is neither a key of this machine nor may be an id in metadata. */
async function entriesFor(keystore: Keystore, wanted: readonly string[]): Promise<Here> {
  const found = await Promise.all(wanted.map((key) => unlessElsewhere(key, keystore.find(key))))
  const named = new Set(wanted.filter((_, i) => found[i] === undefined))
  const index = wanted.length === 0 || named.size > 0 ? await keystore.index() : []
  const entries = wanted.length === 0 ? index : found.filter((entry) => entry !== undefined)
  return { entries, named, every: new Map(index.map((entry) => [entry.id, entry])) }
}

async function unlessElsewhere(wanted: string, finding: Promise<KeyEntry>): Promise<KeyEntry | undefined> {
  try {
    return await finding
  } catch (error) {
    if (isKeyError(error) && error.code === 'KEY_NOT_FOUND' && /^[0-9a-f]{64}$/.test(wanted)) return undefined
    throw error
  }
}

type OwnKey = { readonly key: PublicKey; readonly entry: KeyEntry }

/** By the id that our keystore gives the same public key: another tool may have listed it under another. */
function ownKeysOf(
  { role, keys }: Authority,
  entryOf: (key: PublicKey, id: string) => KeyEntry | undefined,
): readonly OwnKey[] {
  const own = new Map<string, OwnKey>()
  for (const id of role.keyids) {
    const key = keys.get(id)
    const ours = keystoreIdOf(key)
    if (key === undefined || ours === undefined || own.has(ours)) continue
    const entry = entryOf(key, ours)
    if (entry !== undefined) own.set(ours, { key, entry })
  }
  return [...own.values()]
}

/** undefined for a key of a kind that no keystore of ours holds. */
export function keystoreIdOf(key: PublicKey | undefined): string | undefined {
  if (key === undefined) return undefined
  if (!IDS.has(key)) IDS.set(key, computedId(key))
  return IDS.get(key)
}

/** Whether a key is on its curve takes a while to find out, and is asked at each step of a publish. */
const IDS = new WeakMap<PublicKey, string | undefined>()

function computedId(key: PublicKey): string | undefined {
  try {
    return tufKeyId(readPublicKey(key))
  } catch (error) {
    if (!isKeyError(error)) throw error
    return undefined
  }
}

/** The ids of a role's keys as `tagseal key list` shows them; of those that are `among` these, where it is said. */
export function idsHere({ role, keys }: Authority, among?: (id: KeyId) => boolean): readonly string[] {
  return role.keyids.filter((id) => among?.(id) !== false).map((id) => keystoreIdOf(keys.get(id)) ?? id)
}

function refuseTooFew(authority: Authority, have: number, named: readonly string[]): void {
  const { name, role } = authority
  const [key] = named
  if (have === 0 && key !== undefined) throw new PublishError('KEY_NOT_IN_ROLE', { role: name, key })
  if (have < role.threshold) {
    throw new PublishError('NO_SIGNING_KEY', { role: name, need: role.threshold, have, keys: idsHere(authority) })
  }
}
