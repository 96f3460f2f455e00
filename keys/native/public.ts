import { createPublicKey, type KeyObject } from 'node:crypto'

/** A canonical SPKI as OpenSSL takes it. */
export function openPublic(spki: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
}
