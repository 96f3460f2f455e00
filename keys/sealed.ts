import { createCipheriv, createDecipheriv } from 'node:crypto'
import { concat, fromHex, sameBytes, toHex } from './bytes.ts'
import { KeyError } from './errors.ts'
import type { Kek } from './kek.ts'
import { randomBytes } from './random.ts'

/**
 * Small secrets under a key-encryption key, for a database: AES-256-GCM.
 *
 * Sealed: one byte of format, the key's fingerprint (8), the nonce (12), ciphertext, tag (16). Nonces are random,
 * which is safe for 2^32 seals under one key (NIST SP 800-38D 8.3).
 */
const FORMAT = 1
const [FINGERPRINT, NONCE, TAG] = [8, 12, 16]
const HEADER = 1 + FINGERPRINT + NONCE

/** What a secret is for, part by part. A blob opens for the same parts alone, so it cannot be moved to another row. */
export type Purpose = readonly string[]

/** Encrypts; `secret` stays the caller's, to be wiped. */
export function seal(kek: Kek, purpose: Purpose, secret: Uint8Array): Uint8Array {
  const header = concat(Uint8Array.of(FORMAT), fingerprintOf(kek), randomBytes(NONCE))
  return kek.lend((key) => {
    const cipher = createCipheriv('aes-256-gcm', key, header.subarray(-NONCE), { authTagLength: TAG })
    cipher.setAAD(bound(header, purpose))
    return concat(header, cipher.update(secret), cipher.final(), cipher.getAuthTag())
  })
}

/**
 * The secret, which the caller wipes. Throws SEALED_OTHER_KEK for another key's blob, and SEALED_BROKEN for one
 * that was changed or sealed for another purpose.
 */
export function unseal(kek: Kek, purpose: Purpose, sealed: Uint8Array): Uint8Array {
  const header = sealed.subarray(0, HEADER)
  if (sealed.length < HEADER + TAG || header[0] !== FORMAT) throw broken(purpose)
  const made = header.subarray(1, 1 + FINGERPRINT)
  if (!sameBytes(made, fingerprintOf(kek))) {
    throw new KeyError('SEALED_OTHER_KEK', { sealed: toHex(made), have: kek.fingerprint })
  }
  return kek.lend((key) => {
    const decipher = createDecipheriv('aes-256-gcm', key, header.subarray(-NONCE), { authTagLength: TAG })
    decipher.setAAD(bound(header, purpose)).setAuthTag(sealed.subarray(-TAG))
    const secret = decipher.update(sealed.subarray(HEADER, -TAG))
    try {
      decipher.final()
      return secret
    } catch (cause) {
      secret.fill(0)
      throw broken(purpose, cause)
    }
  })
}

/** Lengths first, so that ["a", "bc"] and ["ab", "c"] are two purposes. */
function bound(header: Uint8Array, purpose: Purpose): Uint8Array {
  const text = purpose.map((part) => `${Buffer.byteLength(part)}:${part}`).join('')
  return concat(header, Buffer.from(`tagseal sealed secret\n${text}`))
}

function fingerprintOf(kek: Kek): Uint8Array {
  return fromHex(kek.fingerprint) ?? new Uint8Array()
}

function broken(purpose: Purpose, cause?: unknown): KeyError {
  return new KeyError('SEALED_BROKEN', { what: purpose.join(' ') }, { cause })
}
