import type { Suite } from '../../tuf/model/suite.ts'
import { makeSuite } from '../suite.ts'
import { ecdsaP256, ecdsaP384, ecdsaP384Sha256, ecdsaP521, ecdsaP521Sha256 } from './ecdsa.ts'
import { ed25519 } from './ed25519.ts'
import { hash, hasher } from './hash.ts'
import { isIssued } from './issued.ts'
import { rsaPss, rsaPssSalt32 } from './rsa-pss.ts'

/** JavaScript alone: the browser's suite, and the second opinion on the native one in tests. */
export const portableSuite: Suite = makeSuite({
  hash,
  hasher,
  isIssued,
  arithmetic: {
    ed25519,
    'ecdsa-p256': ecdsaP256,
    'ecdsa-p384': ecdsaP384,
    'ecdsa-p384-sha256': ecdsaP384Sha256,
    'ecdsa-p521': ecdsaP521,
    'ecdsa-p521-sha256': ecdsaP521Sha256,
    'rsa-pss': rsaPss,
    'rsa-pss-salt-32': rsaPssSalt32,
  },
})
