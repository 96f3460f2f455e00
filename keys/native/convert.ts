import { createPrivateKey } from 'node:crypto'
import { KeyError } from '../errors.ts'

/** The forms of an unencrypted private key: RFC 5958, RFC 5915, RFC 8017 A.1.2. */
export type PrivateForm = 'pkcs8' | 'sec1' | 'pkcs1'

/**
 * PKCS#8 as OpenSSL writes it, of a key that another program wrote in whichever of its spellings: Notary leaves the
 * parameters of RSA out, and numbers EC keys as version 2. Wipes `der`.
 */
export function toPkcs8(der: Uint8Array, form: PrivateForm): Uint8Array {
  const key = Buffer.from(der.buffer, der.byteOffset, der.length)
  try {
    return createPrivateKey({ key, format: 'der', type: form }).export({ format: 'der', type: 'pkcs8' })
  } catch {
    // The reason is OpenSSL's parser state, which says nothing to a user, and must not quote the key.
    throw new KeyError('KEY_MALFORMED', { what: 'private key', why: `it is not ${NAMES[form]}` })
  } finally {
    der.fill(0)
  }
}

const NAMES = { pkcs8: 'PKCS#8', sec1: 'SEC1', pkcs1: 'PKCS1' } as const
