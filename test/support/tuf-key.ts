import { concat } from '../../keys/bytes.ts'
import { der } from '../../keys/der.ts'
import { writePem } from '../../keys/pem.ts'
import type { Algorithm } from '../../keys/signer.ts'
import type { TufKeyFields } from '../../keys/tuf-key.ts'
import { keyId } from '../../tuf/model/ids.ts'
import type { PublicKey } from '../../tuf/model/metadata.ts'

/** A key object as metadata lists it, for a suite to open. Its id does not matter to a suite. */
export function listed(fields: TufKeyFields): PublicKey {
  return { id: keyId('test'), ...fields, unknown: new Map(), unknownKeyval: new Map() }
}

export const TUF_NAMES = {
  ed25519: { keytype: 'ed25519', scheme: 'ed25519' },
  'ecdsa-p256': { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256' },
  'ecdsa-p384': { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp384' },
  'ecdsa-p521': { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp521' },
  'rsa-pss': { keytype: 'rsa', scheme: 'rsassa-pss-sha256' },
} as const satisfies Record<Algorithm, { keytype: string; scheme: string }>

export const OID = {
  ec: Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01),
  p256: Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07),
  p384: Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x22),
  p521: Uint8Array.of(0x2b, 0x81, 0x04, 0x00, 0x23),
  rsa: Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01),
  rsaPss: Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a),
  ed25519: Uint8Array.of(0x2b, 0x65, 0x70),
} as const

/** SubjectPublicKeyInfo of whatever parts, right or wrong. */
export function spki(oid: Uint8Array, parameters: Uint8Array, bits: Uint8Array): Uint8Array {
  return der.sequence(der.sequence(der.oid(oid), parameters), der.bits(bits))
}

export function ecSpki(curve: 'p256' | 'p384', point: Uint8Array): Uint8Array {
  return spki(OID.ec, der.oid(OID[curve]), point)
}

export function rsaSpki(modulus: Uint8Array, exponent: Uint8Array): Uint8Array {
  return spki(OID.rsa, der.none(), der.sequence(der.positive(modulus), der.positive(exponent)))
}

export function pemKey(algorithm: Exclude<Algorithm, 'ed25519'>, bytes: Uint8Array): PublicKey {
  return listed({ ...TUF_NAMES[algorithm], public: writePem('PUBLIC KEY', bytes) })
}

/** One DER element with any tag and a length written as one likes. */
export function element(tag: number, body: Uint8Array, length: readonly number[] = [body.length]): Uint8Array {
  return concat(Uint8Array.of(tag, ...length), body)
}

export function bigBytes(value: bigint, length = Math.ceil(value.toString(16).length / 2)): Uint8Array {
  const hex = value.toString(16).padStart(2 * length, '0')
  return Uint8Array.from({ length }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))
}
