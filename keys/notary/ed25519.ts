import { concat, sameBytes } from '../bytes.ts'
import { DerReader, der } from '../der.ts'
import { KeyError } from '../errors.ts'

/**
 * Notary's own form of an ed25519 key, from before RFC 8410: the public key, the seed, and the public key again, under
 * an object identifier of GNU (1.3.6.1.4.1.11591.15.1) that nobody else gives private keys.
 */
const OID = Uint8Array.of(0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01)
const RFC_8410_OID = Uint8Array.of(0x2b, 0x65, 0x70)
const LENGTH = 32

/** The 96 bytes inside a PKCS#8 under that identifier; undefined for any other PKCS#8. Throws KEY_MALFORMED. */
export function notaryEd25519In(pkcs8: Uint8Array): Uint8Array | undefined {
  const whole = new DerReader(pkcs8, 'private key')
  const info = whole.sequence()
  info.version()
  const algorithm = info.sequence()
  if (!sameBytes(algorithm.oid(), OID)) return undefined
  algorithm.end()
  const key = info.octets()
  info.end()
  whole.end()
  return key
}

/** RFC 8410's PKCS#8 of those 96 bytes, which are wiped. */
export function fromNotaryEd25519(bytes: Uint8Array): Uint8Array {
  try {
    const [first, seed, last] = [0, 1, 2].map((i) => bytes.subarray(i * LENGTH, (i + 1) * LENGTH))
    if (bytes.length !== 3 * LENGTH || first === undefined || seed === undefined || last === undefined) {
      throw malformed(`it has ${bytes.length} bytes, not ${3 * LENGTH}`)
    }
    if (!sameBytes(first, last)) throw malformed('its two public keys differ')
    return der.sequence(der.zero(), der.sequence(der.oid(RFC_8410_OID)), der.octets(der.octets(seed)))
  } finally {
    bytes.fill(0)
  }
}

/** The public key that those 96 bytes begin with, to be held against the one that the seed makes. */
export function publicIn(bytes: Uint8Array): Uint8Array {
  return bytes.slice(0, LENGTH)
}

/** The PKCS#8 that Notary reads. `pkcs8` is RFC 8410's, with nothing after its seed. */
export function toNotaryEd25519(pkcs8: Uint8Array, point: Uint8Array): Uint8Array {
  const seed = pkcs8.subarray(-LENGTH)
  const key = concat(point, seed, point)
  try {
    return der.sequence(der.zero(), der.sequence(der.oid(OID)), der.octets(key))
  } finally {
    key.fill(0)
  }
}

function malformed(why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what: 'ed25519 private key', why })
}
