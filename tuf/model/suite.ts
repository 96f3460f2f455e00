import type { Certificate } from './certificate.ts'
import type { PublicKey } from './metadata.ts'

/** A public key ready for use. */
export type Verifier = {
  /**
   * The same text for the same public key, however it was written (other key id, keytype, PEM line breaks,
   * compressed point). A threshold counts these.
   */
  readonly identity: string
  /** Never throws: what cannot be a signature is false. */
  readonly verify: (payload: Uint8Array, signature: Uint8Array) => boolean
}

export type HashName = 'sha256' | 'sha512'

/** An incremental hash; `hex` ends it. */
export type Hasher = { readonly update: (bytes: Uint8Array) => void; readonly hex: () => string }

/**
 * The cryptography the trust rules need, handed in so that `tuf/` imports none.
 * Synchronous: a check is never half done, and a suite that cannot answer at once is no suite.
 */
export type Suite = {
  /** undefined for a scheme or key this suite does not know, a key too weak, or one that does not fit its scheme. */
  readonly open: (key: PublicKey) => Verifier | undefined
  /** Of PEM in its one form, a leaf and those behind it; undefined for anything else. */
  readonly certificates: (pem: Uint8Array) => readonly Certificate[] | undefined
  /** Lower-case hex. */
  readonly hash: (name: HashName, bytes: Uint8Array) => string
  readonly hasher: (name: HashName) => Hasher
}
