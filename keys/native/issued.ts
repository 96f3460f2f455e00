import { createPublicKey, verify } from 'node:crypto'
import type { CheckIssued } from '../x509/issued.ts'

/** OpenSSL takes PKCS#1 v1.5 for RSA and DER for ECDSA where nothing else is said. */
export const isIssued: CheckIssued = ({ spki }, hash, payload, signature) =>
  verify(hash, payload, createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }), signature)
