import { X509Certificate, type webcrypto } from 'node:crypto'
import { concat, toBase64 } from './bytes.ts'
import type { Kek } from './kek.ts'
import { libtrustId } from './libtrust.ts'
import { generateKey } from './native/generate.ts'
import { seal, unseal } from './sealed.ts'
import { selfSigned } from './self-signed.ts'

/** The key with which a server signs access tokens (JWT): ECDSA P-256, which every registry can check. */
export type TokenKey = {
  /** DER, self-signed: what is handed to others who shall accept the tokens. */
  readonly certificate: Uint8Array
  readonly spki: Uint8Array
  /** Its name in a token's header. */
  readonly kid: string
}

const NAME = 'tagseal-server tokens'
const DAY_MS = 24 * 60 * 60 * 1000
/** As long as the certificates that notary makes for itself. */
const LIFETIME_MS = 3650 * DAY_MS

/** A new one as storage keeps it: the certificate, and the private half sealed for it. */
export async function makeTokenKey(kek: Kek, at: number): Promise<Uint8Array> {
  const secret = await generateKey('ecdsa-p256')
  try {
    // From yesterday on: the clocks of those who check it are not ours.
    const facts = { name: NAME, from: at - DAY_MS, until: at + LIFETIME_MS, purpose: 'signing' } as const
    const certificate = await selfSigned(secret, facts)
    const sealed = secret.lend((pkcs8) => seal(kek, purpose(certificate), pkcs8))
    return concat(Uint8Array.of(certificate.length >> 8, certificate.length & 255), certificate, sealed)
  } finally {
    secret.close()
  }
}

/** The public half of what storage kept. */
export function readTokenKey(kept: Uint8Array): TokenKey {
  const { certificate } = partsOf(kept)
  const spki = new Uint8Array(new X509Certificate(certificate).publicKey.export({ format: 'der', type: 'spki' }))
  return { certificate, spki, kid: libtrustId(spki) }
}

/** Opened to sign with, and not to be exported. Throws SEALED_OTHER_KEK or SEALED_BROKEN. */
export async function openTokenKey(kek: Kek, kept: Uint8Array): Promise<webcrypto.CryptoKey> {
  const { certificate, sealed } = partsOf(kept)
  const pkcs8 = unseal(kek, purpose(certificate), sealed)
  try {
    return await crypto.subtle.importKey('pkcs8', pkcs8, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  } finally {
    pkcs8.fill(0)
  }
}

/** With the certificate in it, no other certificate can be put beside the key. */
function purpose(certificate: Uint8Array): string[] {
  return ['token key', toBase64(certificate)]
}

/** Two bytes that say how long the certificate is, the certificate, the sealed key. */
function partsOf(kept: Uint8Array): { readonly certificate: Uint8Array; readonly sealed: Uint8Array } {
  const [high = 0, low = 0] = kept
  const end = 2 + high * 256 + low
  return { certificate: kept.subarray(2, end), sealed: kept.subarray(end) }
}
