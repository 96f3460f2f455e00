/** The signature algorithms we make and check (DESIGN 3, Crypto). Each has one file in `schemes/`. */
export type Algorithm = 'ed25519' | 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521' | 'rsa-pss'

/** What arithmetic there is: one for each algorithm, and where Notary v1 hashes or salts otherwise, one for that. */
export type Computation = Algorithm | 'ecdsa-p384-sha256' | 'ecdsa-p521-sha256' | 'rsa-pss-salt-32'

/** A public key without a dialect. `spki` is DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7). */
export type PublicMaterial = { readonly algorithm: Algorithm; readonly spki: Uint8Array }

/** How a dialect writes signatures. It decides the hash as well: Notary v1 signs with SHA-256 on every curve. */
export type SignatureForm = 'tuf-1.0' | 'notary-v1'

/**
 * Something that signs: a file's key, an agent, a token, a program. Whoever opens it closes it,
 * which wipes what secret it holds.
 */
export type Signer = {
  readonly public: PublicMaterial
  /**
   * The signature before hex or base64: 64 raw bytes (ed25519), PSS with a salt of 32 bytes (rsa), and of ecdsa what
   * the form says: DER in TUF 1.0, which is the form where none is named, and r and s side by side in Notary v1.
   */
  readonly sign: (payload: Uint8Array, form?: SignatureForm) => Promise<Uint8Array>
  readonly close: () => void
}
