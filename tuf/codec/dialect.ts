import { isJsonObject, member } from '../model/json.ts'
import type { Limits } from '../model/limits.ts'
import type { Codec } from './codec.ts'
import { malformed } from './fields.ts'
import { decodeJson } from './json.ts'
import { notaryCodec } from './notary.ts'
import { tufCodec } from './tuf.ts'

/**
 * The dialect of a repository, as the type that its root calls itself tells: `Root` or `root`. It never changes, since
 * each codec refuses the other's root. Believe it no further than the root itself. Throws MALFORMED.
 */
export function codecOf(root: Uint8Array, { jsonDepth }: Pick<Limits, 'jsonDepth'>): Codec {
  const file = decodeJson(root, { depth: jsonDepth, what: 'root' })
  const signed = isJsonObject(file) ? member(file, 'signed') : undefined
  const type = isJsonObject(signed) ? member(signed, '_type') : undefined
  if (type === 'root') return tufCodec
  if (type === 'Root') return notaryCodec
  throw malformed('root._type', type, 'root or Root')
}
