import { sha256 } from '@noble/hashes/sha2.js'
import { concat, sameBytes, toBigInt } from '../bytes.ts'
import { modPow, toBytes } from '../schemes/arithmetic.ts'
import { rsaNumbers } from '../schemes/rsa-pss.ts'
import type { Arithmetic } from '../suite.ts'

const HASH_LENGTH = 32

export const rsaPss: Arithmetic = arithmetic()
/** As Notary v1 signs. */
export const rsaPssSalt32: Arithmetic = arithmetic(32)

function arithmetic(saltLength?: number): Arithmetic {
  return (spki) => verification(spki, saltLength)
}

/** RSASSA-PSS-VERIFY (RFC 8017 8.1.2): the public operation only, so no secret meets these big numbers. */
function verification(spki: Uint8Array, saltLength: number | undefined): ReturnType<Arithmetic> {
  const { modulus, exponent } = rsaNumbers(spki)
  const n = toBigInt(modulus)
  const bits = n.toString(2).length - 1 // emBits
  return (payload, signature) => {
    const s = toBigInt(signature)
    if (s >= n) return false // 5.2.2 step 1
    const m = modPow(s, BigInt(exponent), n)
    if (m >> BigInt(8 * Math.ceil(bits / 8)) !== 0n) return false // 8.1.2 step 2c
    return fits(toBytes(m, Math.ceil(bits / 8)), sha256(payload), bits, saltLength)
  }
}

/** EMSA-PSS-VERIFY (RFC 8017 9.1.2); where no length of the salt is given, for whatever length the encoding tells. */
function fits(encoded: Uint8Array, digest: Uint8Array, bits: number, saltLength: number | undefined): boolean {
  const split = encoded.length - HASH_LENGTH - 1
  if (encoded.at(-1) !== 0xbc) return false // step 4
  const unused = 8 * encoded.length - bits
  const mask = 0xff >> unused
  const h = encoded.subarray(split, -1) // step 5
  if (((encoded[0] ?? 0) & ~mask) !== 0) return false // step 6
  const masked = mgf1(h, split)
  const block = encoded.subarray(0, split).map((byte, i) => byte ^ (masked[i] ?? 0)) // steps 7 and 8
  block[0] = (block[0] ?? 0) & mask // step 9
  const start = block.findIndex((byte) => byte !== 0)
  if (block[start] !== 1) return false // step 10, at whatever place the zeros end
  const salt = block.subarray(start + 1)
  if (saltLength !== undefined && salt.length !== saltLength) return false
  return sameBytes(sha256(concat(new Uint8Array(8), digest, salt)), h) // steps 12 to 14
}

/** MGF1 with SHA-256 (RFC 8017 B.2.1). */
function mgf1(seed: Uint8Array, length: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / HASH_LENGTH) }, (_, i) =>
    sha256(concat(seed, Uint8Array.of(0, 0, i >> 8, i & 255))),
  )
  return concat(...blocks).subarray(0, length)
}
