/** What is signed must be there to be pulled. */
import type { TargetFile } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/reference.ts'
import { walkImage } from '../registry/walk.ts'
import type { Checked } from './checked.ts'

/** `digest` where it was named, else what the tag is. */
export type Wanted = RepositoryName & { readonly tag?: string; readonly digest?: string }

/** The digest to sign, once the registry was seen to have everything that it refers to. */
export async function findWhole(context: Context, { tag, digest: named, ...at }: Wanted): Promise<Checked> {
  const registry = await context.registry()
  const { signal } = context
  const { name, registry: host, repository } = at
  const place = { name, registry: host, repository }
  const wanted = named === undefined ? { ...place, ...(tag === undefined ? {} : { tag }) } : { ...place, digest: named }
  const resolved = await registry.resolveTag(wanted, signal)
  const what = named === undefined ? `${name}:${tag}` : `${name}@${named}`
  if (resolved === undefined) throw new RegistryError('UNKNOWN_MANIFEST', { what })
  const { digest, length, mediaType } = resolved
  await walkImage(registry, place, { digest, length, mediaType }, { deep: false, signal })
  return { digest, length }
}

/** The entry of a targets file for it. */
export function targetOf({ digest, length }: Checked): TargetFile {
  const [algorithm = '', hex = ''] = digest.split(':')
  return { length, hashes: new Map([[algorithm, hex]]), unknown: new Map() }
}
