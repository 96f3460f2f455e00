import { sha256, sha512 } from '@noble/hashes/sha2.js'
import type { Hasher, HashName } from '../../tuf/model/suite.ts'
import { toHex } from '../bytes.ts'

const HASHES = { sha256, sha512 } as const satisfies Record<HashName, unknown>

/** Lower-case hex. */
export function hash(name: HashName, bytes: Uint8Array): string {
  return toHex(HASHES[name](bytes))
}

export function hasher(name: HashName): Hasher {
  const state = HASHES[name].create()
  return { update: (bytes) => void state.update(bytes), hex: () => toHex(state.digest()) }
}
