import type { Kek } from '../../keys/kek.ts'
import { makeOnlineKey, openOnlineKey } from '../../keys/online.ts'
import { signAs } from '../../keys/public-key.ts'
import type { KeyHolder } from './holder.ts'
import { keepOpened } from './opened-keys.ts'

/** Two keys for each of 128 repositories that are being published to (ADR 0030). */
const KEPT = { most: 256, forMs: 10_000 } as const

/** Keys in the database, sealed under the key-encryption key. `proven` tells whether that key is the right one. */
export function sealedKeys(kek: Kek, proven: () => Promise<string | undefined>): KeyHolder {
  const opened = keepOpened(KEPT)
  return {
    holds: ({ sealed }) => sealed !== undefined,
    async make(purpose) {
      const { public: material, sealed } = await makeOnlineKey(kek, purpose)
      return { public: material, sealed }
    },
    async sign({ repository, role, keyid, sealed = new Uint8Array() }, { key, codec, body }) {
      // By all that it is for, so that a row which was changed or moved is opened anew, and refused.
      const name = [repository, role, keyid, Buffer.from(sealed).toString('latin1')].join('\n')
      const open = () => openOnlineKey(kek, { repository, role }, { id: keyid, sealed })
      return opened.lend(name, open, (signer) => signAs(key, signer, codec.encode(body)))
    },
    notReady: proven,
    close: async () => opened.close(),
  }
}
