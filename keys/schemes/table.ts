import { KeyError } from '../errors.ts'
import type { Algorithm, PublicMaterial } from '../signer.ts'
import { ecdsaP256, ecdsaP384, ecdsaP521 } from './ecdsa.ts'
import { ed25519 } from './ed25519.ts'
import { rsaPss } from './rsa-pss.ts'
import type { Scheme } from './scheme.ts'
import { readSpki } from './spki.ts'

/** Every algorithm there is. What is not here verifies nothing. */
export const SCHEMES = {
  ed25519,
  'ecdsa-p256': ecdsaP256,
  'ecdsa-p384': ecdsaP384,
  'ecdsa-p521': ecdsaP521,
  'rsa-pss': rsaPss,
} as const satisfies Record<Algorithm, Scheme>

export const ALGORITHMS: readonly Algorithm[] = Object.values(SCHEMES).map((scheme) => scheme.algorithm)

/** A public key in its one form, whoever wrote it. Throws KEY_MALFORMED or KEY_WEAK. */
export function publicMaterial(spki: Uint8Array): PublicMaterial {
  const parts = readSpki(spki)
  const scheme = Object.values(SCHEMES).find((candidate) => candidate.owns(parts))
  if (scheme === undefined) {
    throw new KeyError('KEY_MALFORMED', { what: 'public key', why: 'its algorithm or curve is not one we use' })
  }
  return { algorithm: scheme.algorithm, spki: scheme.canonical(parts) }
}
