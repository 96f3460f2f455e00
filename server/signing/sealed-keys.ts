import type { Kek } from '../../keys/kek.ts'
import { makeOnlineKey, openOnlineKey } from '../../keys/online.ts'
import { signAs } from '../../keys/public-key.ts'
import type { KeyHolder } from './holder.ts'

/** Keys in the database, sealed under the key-encryption key. `proven` tells whether that key is the right one. */
export function sealedKeys(kek: Kek, proven: () => Promise<string | undefined>): KeyHolder {
  return {
    holds: ({ sealed }) => sealed !== undefined,
    async make(purpose) {
      const { public: material, sealed } = await makeOnlineKey(kek, purpose)
      return { public: material, sealed }
    },
    /** Opened for one signature: the private half is in memory for no longer than that. */
    async sign({ repository, role, keyid, sealed = new Uint8Array() }, { key, codec, body }) {
      const signer = openOnlineKey(kek, { repository, role }, { id: keyid, sealed })
      try {
        return await signAs(key, signer, codec.encode(body))
      } finally {
        signer.close()
      }
    },
    notReady: proven,
    close: async () => undefined,
  }
}
