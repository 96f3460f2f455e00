/** What a registry may cost us. Sizes in bytes, times in milliseconds. All can be changed, none switched off. */
export type RegistryLimits = {
  /** image-spec's figure, and what registries accept. */
  readonly manifest: number
  readonly config: number
  /** One layer. */
  readonly blob: number
  /** Answers of the token service. */
  readonly token: number
  /** Layers of one manifest, manifests of one index. */
  readonly children: number
  /** Distinct manifests and blobs of one image. */
  readonly parts: number
  /** Indexes inside of indexes. */
  readonly depth: number
  readonly redirects: number
  /** Further tries of one request, or of one download that makes no progress. */
  readonly retries: number
  /** Silence in the middle of an answer, or before it. */
  readonly idleMs: number
  /** A whole request, body included, when the body is small. A blob gets more, by its size: see `bytesPerSecond`. */
  readonly requestMs: number
  /** A download slower than this is given up: a byte every now and then resets every other clock. */
  readonly bytesPerSecond: number
  /** The longest `Retry-After` that is waited for. */
  readonly retryAfterMs: number
  readonly backoffMs: number
  /** Contents fetched at once. */
  readonly concurrency: number
}

const KIB = 1024
const MIB = 1024 * KIB

export const REGISTRY_LIMITS: RegistryLimits = {
  manifest: 4 * MIB,
  config: 4 * MIB,
  blob: 64 * KIB * MIB,
  token: MIB,
  children: 1024,
  parts: 8192,
  depth: 4,
  redirects: 5,
  retries: 4,
  idleMs: 30_000,
  requestMs: 60_000,
  bytesPerSecond: 8 * KIB,
  retryAfterMs: 60_000,
  backoffMs: 250,
  concurrency: 4,
}
