import { randomBytes as bytes } from 'node:crypto'
import { toHex } from './bytes.ts'

/** From the operating system's generator. */
export function randomBytes(length: number): Uint8Array {
  return new Uint8Array(bytes(length))
}

/** 128 bits, for names that must not meet: temporary files, request ids, boundaries. */
export function randomName(): string {
  return toHex(randomBytes(16))
}

/** A bearer token: a prefix that scanners for leaked secrets can look for, and 256 bits as base64url. */
export function randomToken(prefix: string): string {
  return `${prefix}${bytes(32).toString('base64url')}`
}
