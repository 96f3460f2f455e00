import type { Limits } from '../model/limits.ts'
import type { Metadata, MetadataOf, PublicKey, Signature, Signed, TopRole } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'

/** What decoding needs from outside: hashing for key ids, and the limits. */
export type DecodeContext = { readonly suite: Suite; readonly limits: Limits }

/**
 * One dialect: bytes to model and back. The workflow knows no dialect (ADR 0002).
 *
 * `decode` throws `TrustError` MALFORMED or TOO_LARGE and nothing else, whatever the bytes are.
 * `payload` of what it returns comes from the received bytes, never from the model.
 */
export type Codec = {
  readonly dialect: 'tuf-1.0' | 'notary-v1'
  /** The snapshot says which root it goes with, by length and hashes. */
  readonly snapshotListsRoot: boolean
  readonly decode: <T extends TopRole>(type: T, bytes: Uint8Array, context: DecodeContext) => Signed<MetadataOf<T>>
  /** The bytes to sign. `decode(assemble(m))` gives `m` again. */
  readonly encode: (body: Metadata) => Uint8Array
  /** The file: what `encode` gave and its signatures. */
  readonly assemble: (body: Metadata, signatures: readonly Signature[]) => Uint8Array
  /** The same file with other signatures: the payload and unknown members stay as they were received. */
  readonly resign: (file: Uint8Array, signatures: readonly Signature[], context: DecodeContext) => Uint8Array
  /** A key object as this dialect lists it, its id computed. `public` is the dialect's text. */
  readonly key: (fields: Pick<PublicKey, 'keytype' | 'scheme' | 'public'>, suite: Suite) => PublicKey
  /** Whole seconds, as the dialect writes a date. */
  readonly date: (milliseconds: number) => string
}
