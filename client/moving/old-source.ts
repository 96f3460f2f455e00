import type { Context } from '../context.ts'
import { readUserFile } from '../files.ts'
import { openHttp } from '../http.ts'
import type { RepositoryName } from '../registry/reference.ts'
import type { MetadataSource } from '../trust/fetch.ts'
import { notaryCredentials, openOldServer } from './old-server.ts'

const MAX_CERTIFICATES = 4 * 1024 * 1024

export type OldSourceWish = {
  readonly url: string
  readonly repository: RepositoryName
  /** A file of authorities to trust for it. */
  readonly ca: string | undefined
}

/** The old server as this user reaches it: with the logins of `notary` and of docker. Close it. */
export async function openOldSource(
  context: Context,
  { url, repository, ca }: OldSourceWish,
): Promise<MetadataSource & { readonly close: () => void }> {
  const { env, settings, monotonic } = context
  const { plainHttp } = settings
  const plainHosts = new Set(typeof plainHttp === 'boolean' ? [] : plainHttp)
  const authorities =
    ca === undefined ? {} : { ca: Buffer.from(await readUserFile(ca, MAX_CERTIFICATES)).toString('utf8') }
  const http = openHttp({ plainHttp: (host) => plainHosts.has(host), ...authorities })
  const credentials = notaryCredentials(env['NOTARY_AUTH'], await context.logins())
  const server = openOldServer({ url, repository, http, plainHosts, credentials, monotonic })
  return { ...server, close: http.close }
}
