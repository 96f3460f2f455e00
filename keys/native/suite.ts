import { createPublicKey } from 'node:crypto'
import type { Suite } from '../../tuf/model/suite.ts'
import type { Algorithm } from '../signer.ts'
import { type Arithmetic, makeSuite } from '../suite.ts'
import { hash, hasher } from './hash.ts'
import { OPENSSL } from './openssl.ts'

/** OpenSSL through `node:crypto`: Node's suite. */
export const nativeSuite: Suite = makeSuite({
  hash,
  hasher,
  arithmetic: {
    ed25519: openssl('ed25519'),
    'ecdsa-p256': openssl('ecdsa-p256'),
    'ecdsa-p384': openssl('ecdsa-p384'),
    'rsa-pss': openssl('rsa-pss'),
  },
})

function openssl(algorithm: Algorithm): Arithmetic {
  return (spki) => {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
    return (payload, signature) => OPENSSL[algorithm].verify(payload, key, signature)
  }
}
