import { concat, fromHex, sameBytes, toBigInt } from '../bytes.ts'
import { DerReader, der } from '../der.ts'
import { isKeyError, KeyError } from '../errors.ts'
import { readPem, writePem } from '../pem.ts'
import type { Algorithm } from '../signer.ts'
import { modPow, toBytes } from './arithmetic.ts'
import type { Scheme, SpkiParts } from './scheme.ts'

/**
 * ECDSA on the NIST curves, signatures as strict DER.
 *
 * Both s and n - s are accepted: a threshold counts keys, not signatures, so the twin of a signature
 * gains nobody anything, and other TUF implementations write either.
 */
const EC_OID = Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01) // 1.2.840.10045.2.1

type Curve = {
  readonly algorithm: Algorithm
  readonly name: string
  readonly oid: Uint8Array
  /** Bytes of a coordinate. */
  readonly size: number
  readonly p: bigint
  readonly b: bigint
  readonly n: bigint
}

export const ecdsaP256: Scheme = scheme({
  algorithm: 'ecdsa-p256',
  name: 'ecdsa-sha2-nistp256',
  oid: Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07), // 1.2.840.10045.3.1.7
  size: 32,
  p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
  b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
})

export const ecdsaP384: Scheme = scheme({
  algorithm: 'ecdsa-p384',
  name: 'ecdsa-sha2-nistp384',
  oid: Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x22), // 1.3.132.0.34
  size: 48,
  p: 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffffn,
  b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
})

/** Only where somebody brings such a key: we advise P-256 and P-384. */
export const ecdsaP521: Scheme = scheme({
  algorithm: 'ecdsa-p521',
  name: 'ecdsa-sha2-nistp521',
  oid: Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x23), // 1.3.132.0.35
  size: 66,
  p: 2n ** 521n - 1n,
  b: 0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
  n: 0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
})

function scheme(curve: Curve): Scheme {
  const parameters = der.oid(curve.oid)
  const spkiOf = (point: Uint8Array) => der.sequence(der.sequence(der.oid(EC_OID), parameters), der.bits(point))
  return {
    algorithm: curve.algorithm,
    name: curve.name,
    keytypes: ['ecdsa', curve.name],
    owns: (parts) => sameBytes(parts.oid, EC_OID) && sameBytes(parts.parameters, parameters),
    canonical: (parts: SpkiParts) => spkiOf(uncompressed(parts.key, curve)),
    // The first Sigstore roots carry the bare point in hex; everybody else writes PEM.
    readPublic(text) {
      if (!text.startsWith('04')) return readPem(text, 'PUBLIC KEY')
      const point = fromHex(text)
      if (point === undefined) throw malformed(curve, 'it is not lower-case hex')
      return spkiOf(point)
    },
    writePublic: (spki) => writePem('PUBLIC KEY', spki),
    signatureForm: () => (signature) => readEcdsaSignature(signature, curve.n) !== undefined,
  }
}

/** The uncompressed point at the end of a canonical SPKI. */
export function ecPoint(spki: Uint8Array, size: 32 | 48 | 66): Uint8Array {
  return spki.subarray(spki.length - 1 - 2 * size)
}

/** r and s big-endian without leading zeros; undefined unless it is strict DER with both in 1..n-1. */
export function readEcdsaSignature(bytes: Uint8Array, n: bigint): { r: Uint8Array; s: Uint8Array } | undefined {
  try {
    const whole = new DerReader(bytes, 'signature')
    const pair = whole.sequence()
    whole.end()
    const [r, s] = [pair.positive(), pair.positive()]
    pair.end()
    return toBigInt(r) < n && toBigInt(s) < n ? { r, s } : undefined
  } catch (error) {
    if (!isKeyError(error)) throw error
    return undefined
  }
}

/** SEC 1 2.3.4: 04 x y, or 02 / 03 x with the sign of y. The hybrid forms 06 and 07 and infinity are refused. */
function uncompressed(point: Uint8Array, curve: Curve): Uint8Array {
  const [form] = point
  const x = toBigInt(point.subarray(1, 1 + curve.size))
  const compressed = form === 2 || form === 3
  const length = 1 + (compressed ? 1 : 2) * curve.size
  if ((form !== 4 && !compressed) || point.length !== length) throw malformed(curve, 'its point has no known form')
  const y = compressed ? yOf(x, form === 3, curve) : toBigInt(point.subarray(1 + curve.size))
  if (x >= curve.p || y >= curve.p || (y * y) % curve.p !== ySquared(x, curve)) {
    throw malformed(curve, 'its point is not on the curve')
  }
  return concat(Uint8Array.of(4), toBytes(x, curve.size), toBytes(y, curve.size))
}

function ySquared(x: bigint, { p, b }: Curve): bigint {
  return (x * x * x + (p - 3n) * x + b) % p
}

/** All three primes are 3 modulo 4, so a power gives the root. Of what has none, the caller finds that it does not fit. */
function yOf(x: bigint, odd: boolean, curve: Curve): bigint {
  const root = modPow(ySquared(x, curve), (curve.p + 1n) / 4n, curve.p)
  return (root & 1n) === (odd ? 1n : 0n) ? root : curve.p - root
}

function malformed(curve: Curve, why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: `${curve.algorithm} public key`, why })
}
