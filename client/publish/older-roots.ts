import { authorityOf, ROOT, rootFile } from '../../tuf/index.ts'
import type { Authority } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../trust/errors.ts'
import { httpSource, metadataUrlOf } from '../trust/fetch.ts'
import type { Standing } from './standing.ts'

/**
 * Who signed for older roots. Nobody has checked these files again: all that they say is which keys of this machine
 * sign the new root as well, and under which ids.
 */
export async function rootsBefore(
  context: Context,
  { codec, suite, limits, root }: Standing,
  repository: string,
  count: number,
): Promise<readonly Authority[]> {
  const first = Math.max(1, root.version - count)
  const versions = Array.from({ length: root.version - first }, (_, i) => first + i)
  if (versions.length === 0) return []
  const place = await context.serverOf(repository)
  const token = await context.token()
  const transport = { http: await context.httpTo(place), ...(token === undefined ? {} : { token }) }
  const source = httpSource(metadataUrlOf(place.server, repository), transport)
  return await Promise.all(
    versions.map(async (version) => {
      const bytes = await source.get(rootFile(version), limits.root, context.signal)
      if (bytes === undefined) throw new ClientError('NO_TRUST_DATA', { repository, file: rootFile(version) })
      return authorityOf(codec.decode('root', bytes, { suite, limits }).body, ROOT)
    }),
  )
}
