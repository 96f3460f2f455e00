import { hash } from '../../keys/digest.ts'
import type { KeyInfo, Keystore } from '../../keys/keystore/keystore.ts'
import type { Signer } from '../../keys/signer.ts'
import type { Authority, KeyId, PublicKey, Signature, Suite } from '../../tuf/index.ts'
import { PublishError } from './errors.ts'

/** The private keys of this machine that may sign for roles. Opened when first used, closed together. */
export type Keyring = {
  /** Whether enough of the role's keys are here. Nobody is asked for a passphrase. */
  readonly canSign: (authority: Authority) => boolean
  /** Throws NO_SIGNING_KEY where `canSign` says no: for what must not begin before it can end. */
  readonly refuseUnable: (authority: Authority) => void
  /** One signature for each key that is needed, and no more. Throws NO_SIGNING_KEY and KEY_NOT_IN_ROLE. */
  readonly sign: (payload: Uint8Array, authorities: readonly Authority[]) => Promise<readonly Signature[]>
  /** Begins to open the named keys, or the one that carries this name, without waiting. Asks nobody for a passphrase. */
  readonly prepare: (name: string) => void
  readonly close: () => void
}

export type KeyringOptions = {
  readonly keystore: Keystore
  readonly suite: Suite
  /** Only these keys, and each of them must be one of the role's: what `--key` says. Empty: whichever fit. */
  readonly named: readonly string[]
  /** Passphrases come from a file, so that opening a key interrupts nobody. */
  readonly unattended: boolean
}

export async function openKeyring({ keystore, suite, named, unattended }: KeyringOptions): Promise<Keyring> {
  const here = named.length === 0 ? await keystore.list() : await Promise.all(named.map((key) => keystore.find(key)))
  const byIdentity = new Map(here.map((info) => [hash('sha256', info.public.spki), info]))
  const open = new Map<string, Promise<Signer>>()

  const ownKeys = (authority: Authority) => ownKeysOf(authority, byIdentity, suite)
  const signerFor = ({ id }: KeyInfo): Promise<Signer> => {
    const signer = open.get(id) ?? keystore.open(id)
    open.set(id, signer)
    return signer
  }
  return {
    canSign: (authority) => ownKeys(authority).length >= authority.role.threshold,
    refuseUnable: (authority) => refuseTooFew(authority, ownKeys(authority).length, named),
    async sign(payload, authorities) {
      const chosen = new Map<KeyId, KeyInfo>()
      for (const authority of authorities) {
        const own = ownKeys(authority)
        refuseTooFew(authority, own.length, named)
        for (const { id, info } of own.slice(0, Math.max(authority.role.threshold, named.length))) chosen.set(id, info)
      }
      return await Promise.all(
        [...chosen].map(async ([keyid, info]) => {
          const signer = await signerFor(info)
          return { keyid, sig: await signer.sign(payload), unknown: new Map() }
        }),
      )
    },
    prepare(name) {
      for (const info of here) {
        const wanted = named.length > 0 || info.name === name
        if (wanted && (unattended || !info.encrypted)) signerFor(info).catch(() => undefined) // thrown again where it signs
      }
    },
    close() {
      for (const signer of open.values()) signer.then((opened) => opened.close()).catch(() => undefined) // it failed where it was used
    },
  }
}

type OwnKey = { readonly id: KeyId; readonly info: KeyInfo }

/** By the public key itself: another tool may have listed it under another id. One key counts once. */
function ownKeysOf({ role, keys }: Authority, here: ReadonlyMap<string, KeyInfo>, suite: Suite): readonly OwnKey[] {
  const own = new Map<string, OwnKey>()
  for (const id of role.keyids) {
    const identity = identityOf(keys.get(id), suite)
    const info = here.get(identity ?? '')
    if (identity !== undefined && info !== undefined && !own.has(identity)) own.set(identity, { id, info })
  }
  return [...own.values()]
}

export function identityOf(key: PublicKey | undefined, suite: Suite): string | undefined {
  return key === undefined ? undefined : suite.open(key)?.identity
}

function refuseTooFew({ name, role }: Authority, have: number, named: readonly string[]): void {
  const [key] = named
  if (have === 0 && key !== undefined) throw new PublishError('KEY_NOT_IN_ROLE', { role: name, key })
  if (have < role.threshold) {
    throw new PublishError('NO_SIGNING_KEY', { role: name, need: role.threshold, have, keys: role.keyids })
  }
}
