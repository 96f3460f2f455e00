import { TrustError } from '../errors.ts'

declare const brand: unique symbol
type Brand<T, B extends string> = T & { readonly [brand]: B }

/** A metadata version: a safe integer of at least 1. */
export type Version = Brand<number, 'Version'>
/** How many distinct public keys must have signed: a safe integer of at least 1. */
export type Threshold = Brand<number, 'Threshold'>
/** The name a signature calls its key by; in TUF 1.0 the lower-case hex sha256 of the canonical key object. */
export type KeyId = Brand<string, 'KeyId'>
/** `root`, `timestamp`, `snapshot`, `targets`, or the name of a delegated role. */
export type RoleName = Brand<string, 'RoleName'>
/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Instant = Brand<number, 'Instant'>

export function version(value: unknown): Version {
  return positive(value, 'version') as Version
}

export function threshold(value: unknown): Threshold {
  return positive(value, 'threshold') as Threshold
}

/** Key ids are opaque here: their derivation belongs to the dialect, and the codec checks it. */
export function keyId(value: unknown): KeyId {
  if (typeof value !== 'string' || value === '' || value.length > 512) throw malformed('key id', value)
  return value as KeyId
}

/**
 * Any text up to 512 UTF-16 units: the specification names no grammar, so a reader must take what is listed.
 * Whoever makes a file name or a URL of it encodes it first; whoever writes one is stricter (`edit/names.ts`).
 */
export function roleName(value: unknown): RoleName {
  if (typeof value !== 'string' || value === '' || value.length > 512) throw malformed('role name', value)
  return value as RoleName
}

export function instant(value: unknown): Instant {
  if (!Number.isSafeInteger(value)) throw malformed('instant', value)
  return value as Instant
}

function positive(value: unknown, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw malformed(what, value)
  return value as number
}

function malformed(what: string, value: unknown): TrustError {
  return new TrustError('MALFORMED', {
    what,
    got: typeof value === 'string' || typeof value === 'number' ? String(value).slice(0, 80) : typeof value,
  })
}

export const ROOT = roleName('root')
export const TIMESTAMP = roleName('timestamp')
export const SNAPSHOT = roleName('snapshot')
export const TARGETS = roleName('targets')
