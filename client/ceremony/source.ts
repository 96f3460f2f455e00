/** A repository's files as the server shows them, and the links of its chain for whoever will have no network. */
import { DEFAULT_LIMITS, rootFile } from '../../tuf/index.ts'
import type { WalkingRoot } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { ClientError } from '../trust/errors.ts'
import { httpSource, metadataUrlOf } from '../trust/fetch.ts'
import type { MetadataSource } from '../trust/fetch.ts'

/** Links that travel with a proposal, and their bytes together: a pin older than that cannot vouch without a network. */
const MOST_LINKS = 64
const MOST_BYTES = 2 * 1024 * 1024

/** Nothing that it gives is verified. */
export async function openSource(context: Context, repository: string): Promise<MetadataSource> {
  const place = await context.serverOf(repository)
  const token = await context.token()
  return httpSource(metadataUrlOf(place.server, repository), {
    http: await context.httpTo(place),
    ...(token === undefined ? {} : { token }),
  })
}

/** The roots that lead to this one, oldest first and itself last; the newest of them where they are too many. */
export async function linksTo(
  context: Context,
  repository: string,
  { root, rootBytes }: Pick<WalkingRoot, 'root' | 'rootBytes'>,
): Promise<readonly Uint8Array[]> {
  const source = await openSource(context, repository)
  const links: Uint8Array[] = [rootBytes]
  let size = rootBytes.length
  for (let version = root.version - 1; version > 0 && links.length < MOST_LINKS; version--) {
    const bytes = await source.get(rootFile(version), DEFAULT_LIMITS.root, context.signal)
    if (bytes === undefined) throw new ClientError('NO_TRUST_DATA', { repository, file: rootFile(version) })
    size += bytes.length
    if (size > MOST_BYTES) break
    links.unshift(bytes)
  }
  return links
}
