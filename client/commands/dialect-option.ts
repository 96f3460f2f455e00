import { notaryCodec, tufCodec } from '../../tuf/index.ts'
import type { Codec } from '../../tuf/index.ts'
import { usage } from './errors.ts'

const DIALECTS: ReadonlyMap<string, Codec> = new Map([
  ['tuf', tufCodec],
  ['notary', notaryCodec],
])

/** The dialect of a repository that is to be. Throws USAGE. */
export function givenDialect(name: string): Codec {
  const codec = DIALECTS.get(name)
  if (codec === undefined) throw usage(`there is no dialect ${name}`, `one of ${[...DIALECTS.keys()].join(', ')}`)
  return codec
}
