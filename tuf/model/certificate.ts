/** What the trust rules ask of an X.509 certificate. Read from strict DER; nothing of it is believed for that. */
export type Certificate = {
  /** undefined where there is none, or more than one, or one that is no text. */
  readonly commonName: string | undefined
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  readonly isCa: boolean
  /** How many authorities may stand below this one; undefined where it does not say. */
  readonly pathLength: number | undefined
  /** Whether it may sign others, by its key usage. */
  readonly maySign: boolean
  /** Object identifiers in hex; undefined where it may be used for anything. */
  readonly purposes: readonly string[] | undefined
  /** Why nobody should rely on it: SHA-1, a short key, a critical extension that we do not know. */
  readonly weakness: string | undefined
  /** Its public key, SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
  /** Whether this one names that one's subject as its issuer and bears its signature. */
  readonly isIssuedBy: (other: Certificate) => boolean
}
