import { verify } from 'node:crypto'
import type { CheckIssued } from '../x509/issued.ts'
import { openPublic } from './public.ts'

/** OpenSSL takes PKCS#1 v1.5 for RSA and DER for ECDSA where nothing else is said. */
export const isIssued: CheckIssued = ({ spki }, hash, payload, signature) =>
  verify(hash, payload, openPublic(spki), signature)
