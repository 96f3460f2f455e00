import type { Context } from '../context.ts'
import { openHttp } from '../http.ts'
import { plainHostsOf } from '../plain-hosts.ts'
import type { RepositoryName } from '../registry/reference.ts'
import type { MetadataSource } from '../trust/fetch.ts'
import { notaryCredentials, openOldServer } from './old-server.ts'

export type OldSourceWish = {
  readonly url: string
  readonly repository: RepositoryName
  /** The authorities to trust for it, in PEM. */
  readonly ca: string | undefined
}

/** The old server as this user reaches it: with the logins of `notary` and of docker. Close it. */
export async function openOldSource(
  context: Context,
  { url, repository, ca }: OldSourceWish,
): Promise<MetadataSource & { readonly close: () => void }> {
  const { env, settings, monotonic } = context
  const { plainHttp } = settings
  const plainHosts = plainHostsOf(typeof plainHttp === 'boolean' ? [] : plainHttp)
  const http = openHttp({ plainHttp: plainHosts.has, ...(ca === undefined ? {} : { ca }) })
  const credentials = notaryCredentials(env['NOTARY_AUTH'], await context.logins())
  const server = openOldServer({ url, repository, http, plainHosts, credentials, monotonic })
  return { ...server, close: http.close }
}
