import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js'
import { concat, sameBytes, toBigInt } from '../bytes.ts'
import { der } from '../der.ts'
import { modPow, toBytes } from '../schemes/arithmetic.ts'
import { rsaNumbers } from '../schemes/rsa-pss.ts'
import type { CertificateHash, CheckIssued } from '../x509/issued.ts'
import { verifyEcdsa } from './ecdsa.ts'

const HASHES = { sha256, sha384, sha512 } as const satisfies Record<CertificateHash, unknown>
/** 2.16.840.1.101.3.4.2, and in it 1, 2 and 3. */
const SHA2_OID = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02]
const LAST_OF_OID = { sha256: 1, sha384: 2, sha512: 3 } as const satisfies Record<CertificateHash, number>

export const isIssued: CheckIssued = ({ algorithm, spki }, hash, payload, signature) => {
  const digest = HASHES[hash](payload)
  switch (algorithm) {
    case 'rsa-pss':
      return isPkcs1(spki, hash, digest, signature)
    case 'ecdsa-p256':
    case 'ecdsa-p384':
    case 'ecdsa-p521':
      return verifyEcdsa(algorithm, spki, digest, signature)
    case 'ed25519':
      return false
  }
}

/** RSASSA-PKCS1-v1_5 (RFC 8017 8.2.2), by making the encoding that must be there and comparing. */
function isPkcs1(spki: Uint8Array, hash: CertificateHash, digest: Uint8Array, signature: Uint8Array): boolean {
  const { modulus, exponent } = rsaNumbers(spki)
  const [n, s] = [toBigInt(modulus), toBigInt(signature)]
  if (s >= n) return false
  const oid = Uint8Array.of(...SHA2_OID, LAST_OF_OID[hash])
  const info = der.sequence(der.sequence(der.oid(oid), der.none()), der.octets(digest))
  const padding = new Uint8Array(modulus.length - info.length - 3).fill(0xff)
  const encoded = concat(Uint8Array.of(0, 1), padding, Uint8Array.of(0), info)
  return sameBytes(toBytes(modPow(s, BigInt(exponent), n), modulus.length), encoded)
}
