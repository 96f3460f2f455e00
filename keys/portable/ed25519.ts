import { Point } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { concat, sameBytes } from '../bytes.ts'
import { fromLittleEndian } from '../schemes/arithmetic.ts'
import { ed25519Point } from '../schemes/ed25519.ts'
import type { Arithmetic } from '../suite.ts'

const L = Point.CURVE().n

/**
 * RFC 8032 5.1.7 over noble's points, instead of noble's own `verify`: that one multiplies by the cofactor, with
 * `zip215: false` too, and so accepts signatures with a torsion part in R or A that OpenSSL refuses.
 */
export const ed25519: Arithmetic = (spki) => {
  const key = ed25519Point(spki)
  const a = Point.fromBytes(key, false)
  return (payload, signature) => {
    const r = signature.subarray(0, 32)
    const s = fromLittleEndian(signature.subarray(32))
    const k = fromLittleEndian(sha512(concat(r, key, payload))) % L
    // Comparing encodings refuses an R that is written in another way than the one.
    return sameBytes(Point.BASE.multiply(s, false).subtract(a.multiply(k, false)).toBytes(), r)
  }
}
