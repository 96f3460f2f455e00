import { hasher as openHasher } from '../../keys/native/hash.ts'
import type { HashName } from '../../tuf/model/suite.ts'
import { RegistryError } from './errors.ts'

/**
 * The digests that we can compute, in their one spelling. image-spec lets unknown algorithms pass validation;
 * here a digest that cannot be checked is no digest.
 */
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

export function isDigest(text: string): boolean {
  return DIGEST.test(text)
}

/** The digest that a tag's bytes get: sha256, what every registry and engine speaks. */
export function digestOf(bytes: Uint8Array): string {
  return openDigest('sha256').end(bytes)
}

/** Collects bytes as they arrive; `end` takes the last of them and gives the digest. */
export type DigestWriter = { readonly update: (bytes: Uint8Array) => void; readonly end: (last?: Uint8Array) => string }

export function openDigest(algorithm: HashName): DigestWriter {
  const hasher = openHasher(algorithm)
  return {
    update: hasher.update,
    end(last) {
      if (last !== undefined) hasher.update(last)
      return `${algorithm}:${hasher.hex()}`
    },
  }
}

export function algorithmOf(digest: string): HashName {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256'
}

/** Size first: a hash over the wrong number of bytes says nothing that the size did not. */
export function refuseOtherBytes(what: string, bytes: Uint8Array, expected: { digest: string; size?: number }): void {
  if (expected.size !== undefined) refuseOtherSize(what, expected.size, bytes.length)
  refuseOtherDigest(what, expected.digest, openDigest(algorithmOf(expected.digest)).end(bytes))
}

export function refuseOtherSize(what: string, expected: number, got: number): void {
  if (got !== expected) throw new RegistryError('SIZE_MISMATCH', { what, expected, got })
}

export function refuseOtherDigest(what: string, expected: string, got: string): void {
  if (got !== expected) throw new RegistryError('DIGEST_MISMATCH', { what, expected, got })
}
