import type { Authority } from '../model/authority.ts'
import type { Instant, KeyId, RoleName } from '../model/ids.ts'
import type { Limits } from '../model/limits.ts'
import type {
  DelegatedRole,
  FileMeta,
  Metadata,
  MetadataOf,
  PublicKey,
  Root,
  Signature,
  Signed,
  Snapshot,
  TopRole,
} from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'

/** What decoding needs from outside: hashing for key ids, and the limits. */
export type DecodeContext = { readonly suite: Suite; readonly limits: Limits }

/** What decides who may sign a root: the suite, and the repository that it is to be for. */
export type RootQuestion = { readonly suite: Suite; readonly repository?: string | undefined }

/**
 * In which order roles are asked about a target. `starts` are walked one after another, each with all that is below
 * it. A target that is found first in a role that is not `counted` is not found: nobody else may answer instead.
 */
export type SearchOrder = {
  readonly walk: 'depth-first' | 'breadth-first'
  readonly starts: readonly RoleName[]
  readonly counted?: ReadonlySet<RoleName>
}

/**
 * One dialect: bytes to model and back. The workflow knows no dialect (ADR 0002).
 *
 * `decode` throws `TrustError` MALFORMED or TOO_LARGE and nothing else, whatever the bytes are.
 * `payload` of what it returns comes from the received bytes, never from the model.
 */
export type Codec = {
  readonly dialect: 'tuf-1.0' | 'notary-v1'
  /** Limits that are others in this dialect. */
  readonly limits: Partial<Limits>
  /** What a new root says of itself; Notary writes false, though its files have names of their own as well. */
  readonly consistentSnapshot: boolean
  /** The snapshot says which root it goes with, by length and hashes. */
  readonly snapshotListsRoot: boolean
  /** The keys whose signatures count for a root and for its successor. Throws ROOT_CERTIFICATE. */
  readonly rootAuthority: (root: Root, question: RootQuestion) => Authority
  /** Those of them that are good now, for the end of the chain; absent where keys do not age. Throws ROOT_CERTIFICATE. */
  readonly livingRootAuthority?: (root: Root, question: RootQuestion & { readonly now: Instant }) => Authority
  /** The repository that a verified root is for; undefined where it does not say. */
  readonly repositoryOf: (root: Root, question: Pick<RootQuestion, 'repository'>) => string | undefined
  /** Every id by which people know a key; the first is the one in metadata. */
  readonly keyNames: (key: PublicKey, suite: Suite) => readonly KeyId[]
  /** What a file that is listed so is called below the metadata URL. Slashes separate segments. */
  readonly fileName: (role: RoleName, listed: FileMeta, root: Root) => string
  readonly search: SearchOrder
  /** A delegation that says nothing, so that the search passes it over; absent where each must have a file. */
  readonly isSilent?: (delegator: RoleName, role: DelegatedRole, snapshot: Pick<Snapshot, 'meta'>) => boolean
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
