import { toBase64 } from '../bytes.ts'
import { hash } from '../native/hash.ts'
import { ed25519Point } from '../schemes/ed25519.ts'
import type { Algorithm, PublicMaterial } from '../signer.ts'

const KEYTYPES = {
  ed25519: 'ed25519',
  'ecdsa-p256': 'ecdsa',
  'ecdsa-p384': 'ecdsa',
  'ecdsa-p521': 'ecdsa',
  'rsa-pss': 'rsa',
} as const satisfies Record<Algorithm, string>

/**
 * What Notary calls a key in file names and lists: its canonical id. Metadata that lists the key inside a certificate
 * has another id for it, which the certificate decides.
 */
export function notaryKeyId(material: PublicMaterial): string {
  const keytype = KEYTYPES[material.algorithm]
  const bytes = keytype === 'ed25519' ? ed25519Point(material.spki) : material.spki
  const object = `{"keytype":"${keytype}","keyval":{"private":null,"public":"${toBase64(bytes)}"}}`
  return hash('sha256', new TextEncoder().encode(object))
}
