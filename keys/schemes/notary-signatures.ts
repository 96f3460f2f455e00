import { concat } from '../bytes.ts'
import { der } from '../der.ts'
import { KeyError } from '../errors.ts'
import type { Algorithm, Computation } from '../signer.ts'
import { readEcdsaSignature } from './ecdsa.ts'

type NotarySignature = {
  readonly computation: Computation
  /** From the file's form to the one that arithmetic takes; undefined where it is no signature at all. */
  readonly read: (signature: Uint8Array) => Uint8Array | undefined
  readonly write: (signature: Uint8Array) => Uint8Array
}

/**
 * How Notary v1 signs (Go's `tuf/signed`). The arithmetic is TUF's but for two things: ECDSA hashes with SHA-256 on
 * every curve, and the salt of RSA-PSS has 32 bytes and no other number.
 */
export const NOTARY_SIGNATURES: Readonly<Record<Algorithm, NotarySignature>> = {
  ed25519: { computation: 'ed25519', ...unchanged() },
  'ecdsa-p256': { computation: 'ecdsa-p256', ...sideBySide(32) },
  'ecdsa-p384': { computation: 'ecdsa-p384-sha256', ...sideBySide(48) },
  'ecdsa-p521': { computation: 'ecdsa-p521-sha256', ...sideBySide(66) },
  'rsa-pss': { computation: 'rsa-pss-salt-32', ...unchanged() },
}

function unchanged() {
  const same = (signature: Uint8Array): Uint8Array => signature
  return { read: same, write: same }
}

/** r and s, each of `size` bytes, where arithmetic has DER. */
function sideBySide(size: number): Pick<NotarySignature, 'read' | 'write'> {
  return {
    read(signature) {
      if (signature.length !== 2 * size) return undefined
      return der.sequence(der.positive(signature.subarray(0, size)), der.positive(signature.subarray(size)))
    },
    write(signature) {
      const numbers = readEcdsaSignature(signature, 1n << BigInt(8 * size))
      if (numbers === undefined) throw new KeyError('KEY_MALFORMED', { what: 'signature', why: 'it is not DER' })
      return concat(padded(numbers.r, size), padded(numbers.s, size))
    },
  }
}

function padded(magnitude: Uint8Array, size: number): Uint8Array {
  return concat(new Uint8Array(size - magnitude.length), magnitude)
}
