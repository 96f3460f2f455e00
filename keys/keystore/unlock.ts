import { KeyError } from '../errors.ts'
import { Secret } from '../native/secret.ts'
import { type ForeignForm, hasForm } from '../notary/private-key.ts'
import type { Passphrase, PassphraseSource } from './passphrase.ts'
import { decryptPkcs8 } from './pbes2.ts'

/** What is encrypted, and what to make of it once it is not. */
export type Locked = {
  /** For people. */
  readonly key: string
  readonly form: ForeignForm
  /** Another program wrote it. */
  readonly isForeign?: true
  /** undefined for a wrong passphrase, as far as padding shows it. */
  readonly decrypt: (passphrase: Uint8Array) => Promise<Uint8Array | undefined>
  /** Takes over the bytes. */
  readonly open: (der: Uint8Array) => Secret
}

/** Opens an encrypted PKCS#8 with whatever passphrases the source has. `key` names it for people. */
export function unlock(encrypted: Uint8Array, source: PassphraseSource, key: string): Promise<Secret> {
  const decrypt = (passphrase: Uint8Array) => decryptPkcs8(encrypted, passphrase)
  return unlockAny({ key, form: 'pkcs8', decrypt, open: (pkcs8) => new Secret(pkcs8) }, source)
}

export async function unlockAny(locked: Locked, source: PassphraseSource): Promise<Secret> {
  const tried = new Set<Passphrase>()
  while (true) {
    const passphrase = await source.unlock(locked.key, tried)
    if (passphrase === undefined) throw wrong(locked)
    const der = await locked.decrypt(passphrase.bytes)
    if (der !== undefined && hasForm(der, locked.form)) return locked.open(der)
    der?.fill(0) // one wrong passphrase in 256 ends in a padding that looks right: what it opened is noise
    tried.add(passphrase)
  }
}

function wrong({ key, isForeign }: Locked): KeyError {
  return new KeyError('PASSPHRASE_WRONG', { key, ...(isForeign && { isForeign }) })
}
