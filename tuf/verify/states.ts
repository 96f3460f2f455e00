import type { Codec } from '../codec/codec.ts'
import type { Instant } from '../model/ids.ts'
import type { Limits } from '../model/limits.ts'
import type { Root, Snapshot, Targets, Timestamp, Verified } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'

/** What every step judges by. `now` is fixed once, before the first request (specification 5.1). */
export type Judge = {
  readonly codec: Codec
  readonly suite: Suite
  readonly limits: Limits
  readonly now: Instant
  /** Whose metadata is judged. A dialect whose roots are bound to it by name refuses every root without. */
  readonly repository?: string | undefined
}

/** On the root chain: the root is signed, its expiry not yet looked at (5.3.6). */
export type WalkingRoot = Judge & {
  readonly root: Verified<Root>
  /** Its file: a dialect may have the snapshot list it. */
  readonly rootBytes: Uint8Array
}
/** The chain's end was reached and is unexpired (5.3.10). */
export type AfterRoot = WalkingRoot & { readonly rootIsFinal: true }
export type AfterTimestamp = AfterRoot & { readonly timestamp: Verified<Timestamp> }
export type AfterSnapshot = AfterTimestamp & { readonly snapshot: Verified<Snapshot> }
export type AfterTargets = AfterSnapshot & { readonly targets: Verified<Targets> }
