/** Operating limits (DESIGN 5). Sizes in bytes. None of them can be switched off, only changed. */
export type Limits = {
  readonly root: number
  readonly timestamp: number
  readonly snapshot: number
  readonly targets: number
  /** Roots walked in one refresh. The next refresh goes on from there. */
  readonly rootRotations: number
  /** Delegated roles visited in one search. */
  readonly delegatedRoles: number
  readonly jsonDepth: number
  readonly signatures: number
}

export const DEFAULT_LIMITS: Limits = {
  root: 512 * 1024,
  timestamp: 16 * 1024,
  snapshot: 16 * 1024 * 1024,
  targets: 64 * 1024 * 1024,
  rootRotations: 256,
  delegatedRoles: 32,
  jsonDepth: 64,
  signatures: 1024,
}
