import { der } from '../der.ts'
import { publicMaterial } from '../schemes/table.ts'
import type { PublicMaterial } from '../signer.ts'

const ED25519 = Uint8Array.of(0x2b, 0x65, 0x70) // 1.3.101.112
const EC_PUBLIC_KEY = Uint8Array.of(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01) // 1.2.840.10045.2.1

/** From the 32 bytes of the point. Throws KEY_MALFORMED and KEY_WEAK. */
export function ed25519Material(point: Uint8Array): PublicMaterial {
  return publicMaterial(der.sequence(der.sequence(der.oid(ED25519)), der.bits(point)))
}

/** From the DER of the curve's identifier and the point (SEC 1). Throws KEY_MALFORMED, also for curves that we do not use. */
export function ecdsaMaterial(curve: Uint8Array, point: Uint8Array): PublicMaterial {
  return publicMaterial(der.sequence(der.sequence(der.oid(EC_PUBLIC_KEY), curve), der.bits(point)))
}

/** The DER that TUF 1.0 takes, of two numbers big-endian. */
export function ecdsaSignature(r: Uint8Array, s: Uint8Array): Uint8Array {
  return der.sequence(der.positive(r), der.positive(s))
}
