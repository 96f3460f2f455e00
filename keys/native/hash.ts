import { createHash } from 'node:crypto'
import type { Hasher, HashName } from '../../tuf/model/suite.ts'

/** Lower-case hex. */
export function hash(name: HashName, bytes: Uint8Array): string {
  return createHash(name).update(bytes).digest('hex')
}

/** An incremental hash, for what does not fit into memory; `hex` ends it. */
export function hasher(name: HashName): Hasher {
  const state = createHash(name)
  return { update: (bytes) => void state.update(bytes), hex: () => state.digest('hex') }
}
