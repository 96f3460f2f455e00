import { DerReader } from '../der.ts'
import type { SpkiParts } from './scheme.ts'

/** SubjectPublicKeyInfo (RFC 5280 4.1.2.7), strictly DER. Throws KEY_MALFORMED. */
export function readSpki(bytes: Uint8Array): SpkiParts {
  const whole = new DerReader(bytes, 'public key')
  const spki = whole.sequence()
  whole.end()
  const algorithm = spki.sequence()
  const key = spki.bits()
  spki.end()
  return { oid: algorithm.oid(), parameters: algorithm.remainder(), key }
}
