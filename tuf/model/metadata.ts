import type { Instant, KeyId, RoleName, Threshold, Version } from './ids.ts'
import type { Json } from './json.ts'

/** Members this version does not know. They were signed, so they are kept and written back (ADR 0008). */
export type Unknown = ReadonlyMap<string, Json>

/** A public key as metadata lists it. `public` is the dialect's own text: hex, PEM or base64. */
export type PublicKey = {
  readonly id: KeyId
  readonly keytype: string
  readonly scheme: string
  readonly public: string
  /** Unknown members of the key object and of its `keyval`: both are part of the key id. */
  readonly unknown: Unknown
  readonly unknownKeyval: Unknown
}

/** Whose signatures count for a role, and how many of them must. */
export type RoleKeys = { readonly keyids: readonly KeyId[]; readonly threshold: Threshold; readonly unknown: Unknown }

/** Hash name (`sha256`, `sha512`) to lower-case hex. */
export type Hashes = ReadonlyMap<string, string>

/** What one metadata file says of another. `length` in bytes. TUF 1.0 has `version`; Notary v1 has none. */
export type FileMeta = {
  readonly version?: Version
  readonly length?: number
  readonly hashes?: Hashes
  readonly unknown: Unknown
}

/** `length` in bytes. For an image: the manifest's or index's size and digest. */
export type TargetFile = {
  readonly length: number
  readonly hashes: Hashes
  readonly custom?: Json
  readonly unknown: Unknown
}

type Common = {
  /** TUF 1.0 only. */
  readonly specVersion?: string
  readonly version: Version
  readonly expires: Instant
  /** As it was written, so that writing it back changes nothing. */
  readonly expiresText: string
  readonly unknown: Unknown
}

export type TopRole = 'root' | 'timestamp' | 'snapshot' | 'targets'

export type Root = Common & {
  readonly type: 'root'
  readonly consistentSnapshot: boolean
  readonly keys: ReadonlyMap<KeyId, PublicKey>
  /** Has the four top-level roles; may have others (`mirrors`), which mean nothing here. */
  readonly roles: ReadonlyMap<RoleName, RoleKeys>
}
export type Timestamp = Common & { readonly type: 'timestamp'; readonly snapshot: FileMeta }
export type Snapshot = Common & { readonly type: 'snapshot'; readonly meta: ReadonlyMap<RoleName, FileMeta> }
export type Targets = Common & {
  readonly type: 'targets'
  readonly targets: ReadonlyMap<string, TargetFile>
  readonly delegations?: Delegations
}

/** Which targets a delegation is trusted for: patterns or hash prefixes in TUF 1.0, plain prefixes in Notary v1. */
export type Scope =
  | { readonly kind: 'paths'; readonly paths: readonly string[] }
  | { readonly kind: 'hash-prefixes'; readonly prefixes: readonly string[] }
  | { readonly kind: 'path-prefixes'; readonly prefixes: readonly string[] }

export type DelegatedRole = RoleKeys & {
  readonly name: RoleName
  readonly scope: Scope
  readonly terminating: boolean
}

/** TAP 15: 2^bitLength bins named `prefix-hex`, all under one key set. */
export type SuccinctRoles = RoleKeys & { readonly bitLength: number; readonly namePrefix: string }

export type Delegations = {
  readonly keys: ReadonlyMap<KeyId, PublicKey>
  readonly unknown: Unknown
  /** In the order they were written, which is the order of the search. Empty where `succinct` is given. */
  readonly roles: readonly DelegatedRole[]
  readonly succinct?: SuccinctRoles
}

export type Metadata = Root | Timestamp | Snapshot | Targets
export type MetadataOf<T extends TopRole> = Extract<Metadata, { readonly type: T }>

/** `sig` is the raw signature; a signature that does not decode is kept with its text and counts for nothing. */
export type Signature = {
  readonly keyid: KeyId
  readonly sig: Uint8Array
  /** What it says it was made with, where the dialect has it say so; it counts only if that is its key's scheme. */
  readonly scheme?: string
  readonly unknown: Unknown
}

/** A decoded file whose signatures nobody has checked yet. `payload` is the exact bytes that were signed. */
export type Signed<M extends Metadata> = {
  readonly body: M
  readonly payload: Uint8Array
  readonly signatures: readonly Signature[]
  /** Unknown members of the envelope: not signed, never trusted. */
  readonly unknown: Unknown
}

/** Private, so that spreading a verified body into a changed one loses it: what was changed is not verified. */
declare class Met {
  private readonly threshold: true
}
/** A body that met its role's threshold. Only `verify/threshold.ts` makes one. */
export type Verified<M extends Metadata> = M & Met
