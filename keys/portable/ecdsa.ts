import type { ECDSA } from '@noble/curves/abstract/weierstrass.js'
import { p256, p384, p521 } from '@noble/curves/nist.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { ecPoint, readEcdsaSignature } from '../schemes/ecdsa.ts'
import type { Arithmetic } from '../suite.ts'

export const ecdsaP256: Arithmetic = arithmetic(p256, 32)
export const ecdsaP384: Arithmetic = arithmetic(p384, 48)
/** As Notary v1 signs. */
export const ecdsaP384Sha256: Arithmetic = arithmetic(p384, 48, sha256)
export const ecdsaP521: Arithmetic = arithmetic(p521, 66)
export const ecdsaP521Sha256: Arithmetic = arithmetic(p521, 66, sha256)

const CURVES = {
  'ecdsa-p256': { curve: p256, size: 32 },
  'ecdsa-p384': { curve: p384, size: 48 },
  'ecdsa-p521': { curve: p521, size: 66 },
} as const

/** A signature in DER over a digest, whatever hash that is of. */
export function verifyEcdsa(
  algorithm: keyof typeof CURVES,
  spki: Uint8Array,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { curve, size } = CURVES[algorithm]
  const compact = compactOf(signature, curve, size)
  return compact !== undefined && curve.verify(compact, digest, ecPoint(spki, size), { lowS: false, prehash: false })
}

/**
 * noble hashes with the curve's own SHA-2 unless another hash is named. `lowS: false`: either s is accepted
 * (`schemes/ecdsa.ts`).
 */
function arithmetic(curve: ECDSA, size: 32 | 48 | 66, hash?: (bytes: Uint8Array) => Uint8Array): Arithmetic {
  return (spki) => {
    const point = ecPoint(spki, size)
    return (payload, signature) => {
      const compact = compactOf(signature, curve, size)
      if (compact === undefined) return false
      if (hash === undefined) return curve.verify(compact, payload, point, { lowS: false })
      return curve.verify(compact, hash(payload), point, { lowS: false, prehash: false })
    }
  }
}

function compactOf(signature: Uint8Array, curve: ECDSA, size: 32 | 48 | 66): Uint8Array | undefined {
  const numbers = readEcdsaSignature(signature, curve.Point.Fn.ORDER)
  if (numbers === undefined) return undefined
  const compact = new Uint8Array(2 * size)
  compact.set(numbers.r, size - numbers.r.length)
  compact.set(numbers.s, 2 * size - numbers.s.length)
  return compact
}
