import { fromBase64 } from '../../keys/bytes.ts'
import { isKeyError, KeyError } from '../../keys/errors.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { readPublicKey } from '../../keys/public-key.ts'
import type { OnlineRole } from '../../keys/online.ts'
import type { Signature } from '../../tuf/index.ts'
import { VersionSpent } from './holder.ts'
import type { KeyHolder, MadeKey, ToSign } from './holder.ts'
import { SignerRefusal } from './signer-client.ts'
import type { Answer, SignerClient } from './signer-client.ts'

const HERE = 'signer:'

/** Keys in a process of their own, which looks at what it signs. It gets the file, not its bytes to sign. */
export function signerKeys(client: SignerClient): KeyHolder {
  return {
    holds: ({ signer }) => signer === HERE,
    make: (purpose) => key(purpose, false),
    unused: (purpose) => key(purpose, true),
    async sign({ repository, role, keyid }, toSign) {
      const { codec, body } = toSign
      const file = Buffer.from(codec.assemble(body, [])).toString('utf8')
      try {
        const answer = await client.ask('/v1/signatures', { repository, role, keyid, dialect: codec.dialect, file })
        return checked(answer, toSign)
      } catch (error) {
        const last = error instanceof SignerRefusal && error.code === 'VERSION_SPENT' ? error.detail['last'] : undefined
        if (typeof last === 'number' && last >= body.version) throw new VersionSpent(last)
        throw error
      }
    },
    async published({ repository, role, keyid }, version) {
      await client.ask('/v1/published', { repository, role, keyid, version })
    },
    async notReady() {
      try {
        await client.ask('/readyz')
        return undefined
      } catch (error) {
        if (error instanceof SignerRefusal) return `its signer is not ready (${error.code})`
        if (isKeyError(error)) return 'its signer cannot be reached'
        throw error
      }
    },
    close: async () => client.close(),
  }

  async function key(purpose: OnlineRole, unused: boolean): Promise<MadeKey> {
    const { keytype, scheme, public: text } = await client.ask('/v1/keys', { ...purpose, unused })
    if (typeof keytype !== 'string' || typeof scheme !== 'string' || typeof text !== 'string') throw wrong()
    return { public: readPublicKey({ keytype, scheme, public: text }), signer: HERE }
  }
}

/** Nobody believes a signer: what is no signature of that key over that file is none. */
function checked({ sig }: Answer, { key, codec, body }: ToSign): Signature {
  const bytes = typeof sig === 'string' ? fromBase64(sig) : undefined
  const { id: keyid, scheme } = key
  if (bytes === undefined || nativeSuite.open(key)?.verify(codec.encode(body), bytes) !== true) throw wrong()
  return { keyid, sig: bytes, scheme, unknown: new Map() }
}

function wrong(): KeyError {
  return new KeyError('SIGNATURE_WRONG', { signer: 'the signer' })
}
