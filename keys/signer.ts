/** The signature algorithms we make and check (DESIGN 3, Crypto). Each has one file in `schemes/`. */
export type Algorithm = 'ed25519' | 'ecdsa-p256' | 'ecdsa-p384' | 'rsa-pss'

/** A public key without a dialect. `spki` is DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7). */
export type PublicMaterial = { readonly algorithm: Algorithm; readonly spki: Uint8Array }

/**
 * Something that signs: a file's key, an agent, a token, a program. Whoever opens it closes it,
 * which wipes what secret it holds.
 */
export type Signer = {
  readonly public: PublicMaterial
  /** The signature as TUF 1.0 writes it before hex: 64 raw bytes (ed25519), DER (ecdsa), PSS salt 32 (rsa). */
  readonly sign: (payload: Uint8Array) => Promise<Uint8Array>
  readonly close: () => void
}
