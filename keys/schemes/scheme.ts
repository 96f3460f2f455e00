import type { Algorithm } from '../signer.ts'

/** A SubjectPublicKeyInfo taken apart: object identifier, the parameters' DER, the key's bits. */
export type SpkiParts = { readonly oid: Uint8Array; readonly parameters: Uint8Array; readonly key: Uint8Array }

/**
 * Everything about one algorithm except the arithmetic, which the suites bring.
 *
 * Both suites take keys and signatures through the same `Scheme`, so they can differ in no encoding.
 */
export type Scheme = {
  readonly algorithm: Algorithm
  /** The `scheme` of TUF 1.0. */
  readonly name: string
  /** The `keytype`s read with it; the first is the one we write. */
  readonly keytypes: readonly [string, ...string[]]
  /** Whether these parts are a key of this algorithm, right or wrong. */
  readonly owns: (parts: SpkiParts) => boolean
  /** The one SPKI of that public key. Throws KEY_MALFORMED or KEY_WEAK. */
  readonly canonical: (parts: SpkiParts) => Uint8Array
  /** The key of TUF's `keyval.public`, as SPKI parts or whole. Throws KEY_MALFORMED. */
  readonly readPublic: (text: string) => Uint8Array
  /** `keyval.public` of a canonical SPKI. */
  readonly writePublic: (spki: Uint8Array) => string
  /** For a canonical SPKI: whether bytes have the one form that its signatures have. */
  readonly signatureForm: (spki: Uint8Array) => (signature: Uint8Array) => boolean
}
