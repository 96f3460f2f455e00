import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { sameBytes } from '../bytes.ts'
import { ed25519Point, ed25519Spki } from '../schemes/ed25519.ts'

/** A canonical SPKI as OpenSSL takes it. */
export function openPublic(spki: Uint8Array): KeyObject {
  const point = ed25519Point(spki)
  // What reads any DER takes OpenSSL a millisecond to set up, once in a process; the usual key needs none of it.
  if (sameBytes(ed25519Spki(point), spki)) return createPublicKey({ key: ed25519Jwk(point), format: 'jwk' })
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
}

/** RFC 8037 2. */
function ed25519Jwk(point: Uint8Array): JsonWebKey {
  return { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(point).toString('base64url') }
}
