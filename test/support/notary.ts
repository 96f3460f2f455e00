import { createPublicKey } from 'node:crypto'

/** SPKI of whatever half of a key pair OpenSSL finds in a PEM file. */
export function publicOfPem(pem: string): Uint8Array {
  return createPublicKey(pem).export({ format: 'der', type: 'spki' })
}
