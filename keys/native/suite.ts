import type { Suite } from '../../tuf/model/suite.ts'
import type { Computation } from '../signer.ts'
import { type Arithmetic, makeSuite } from '../suite.ts'
import { hash, hasher } from './hash.ts'
import { isIssued } from './issued.ts'
import { OPENSSL } from './openssl.ts'
import { openPublic } from './public.ts'

/** OpenSSL through `node:crypto`: Node's suite. */
export const nativeSuite: Suite = makeSuite({
  hash,
  hasher,
  isIssued,
  arithmetic: {
    ed25519: openssl('ed25519'),
    'ecdsa-p256': openssl('ecdsa-p256'),
    'ecdsa-p384': openssl('ecdsa-p384'),
    'ecdsa-p384-sha256': openssl('ecdsa-p384-sha256'),
    'ecdsa-p521': openssl('ecdsa-p521'),
    'ecdsa-p521-sha256': openssl('ecdsa-p521-sha256'),
    'rsa-pss': openssl('rsa-pss'),
    'rsa-pss-salt-32': openssl('rsa-pss-salt-32'),
  },
})

function openssl(computation: Computation): Arithmetic {
  return (spki) => {
    const key = openPublic(spki)
    return (payload, signature) => OPENSSL[computation].verify(payload, key, signature)
  }
}
