import { isKeyError, KeyError } from '../errors.ts'
import { Secret } from '../native/secret.ts'
import type { Passphrase, PassphraseSource } from './passphrase.ts'
import { decryptPkcs8 } from './pbes2.ts'

/** Opens an encrypted PKCS#8 with whatever passphrases the source has. `key` names it for people. */
export async function unlock(encrypted: Uint8Array, source: PassphraseSource, key: string): Promise<Secret> {
  const tried = new Set<Passphrase>()
  while (true) {
    const passphrase = await source.unlock(key, tried)
    if (passphrase === undefined) throw new KeyError('PASSPHRASE_WRONG', { key })
    const secret = await tryOne(encrypted, passphrase)
    if (secret !== undefined) return secret
    tried.add(passphrase)
  }
}

async function tryOne(encrypted: Uint8Array, passphrase: Passphrase): Promise<Secret | undefined> {
  const pkcs8 = await decryptPkcs8(encrypted, passphrase.bytes)
  if (pkcs8 === undefined) return undefined
  try {
    return new Secret(pkcs8)
  } catch (error) {
    // One wrong passphrase in 256 ends in a padding that looks right: what it opened is then noise.
    if (isKeyError(error) && error.code === 'KEY_MALFORMED') return undefined
    throw error
  }
}
