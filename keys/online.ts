import type { Kek } from './kek.ts'
import { tufKeyId } from './keystore/key-file.ts'
import { generateKey } from './native/generate.ts'
import { Secret } from './native/secret.ts'
import { seal, unseal } from './sealed.ts'
import type { PublicMaterial, Signer } from './signer.ts'

/** What an online key signs for. */
export type OnlineRole = { readonly repository: string; readonly role: 'snapshot' | 'timestamp' }

/** A server's key as its storage keeps it: the private half is sealed. `id` is the TUF 1.0 key id. */
export type OnlineKey = { readonly id: string; readonly public: PublicMaterial; readonly sealed: Uint8Array }

/** A new ed25519 key for one role of one repository; it cannot be used for another. */
export async function makeOnlineKey(kek: Kek, role: OnlineRole): Promise<OnlineKey> {
  const secret = await generateKey('ed25519')
  try {
    const id = tufKeyId(secret.public)
    const sealed = secret.lend((pkcs8) => seal(kek, purpose(role, id), pkcs8))
    return { id, public: secret.public, sealed }
  } finally {
    secret.close()
  }
}

/** Opens a sealed online key; whoever opens it closes it. Throws SEALED_OTHER_KEK or SEALED_BROKEN. */
export function openOnlineKey(kek: Kek, role: OnlineRole, key: Pick<OnlineKey, 'id' | 'sealed'>): Signer {
  return new Secret(unseal(kek, purpose(role, key.id), key.sealed))
}

function purpose({ repository, role }: OnlineRole, id: string): string[] {
  return ['online key', repository, role, id]
}
