import { plainHostsOf } from '../plain-hosts.ts'
import { isLoopback } from './address.ts'
import { type Channel, mayBePlain } from './destination.ts'
import { isRegistryError, RegistryError } from './errors.ts'
import { type Deadline, drain, type Http, networkCode } from './http.ts'
import { apiHost } from './reference.ts'
import type { PlainHttp } from './settings.ts'

/** Settles how a registry is spoken to, once. Throws PLAIN_HTTP_REFUSED for another machine that was not named. */
export async function openChannel(
  registry: string,
  plain: PlainHttp,
  http: Http,
  deadline: Deadline,
): Promise<Channel> {
  const host = apiHost(registry)
  const plainHosts = plainHostsOf(typeof plain === 'boolean' ? [] : plain)
  const https = { base: new URL(`https://${host}/`), plainHosts }
  const bare = { base: new URL(`http://${host}/`), plainHosts }
  const allowed = mayBePlain(plainHosts, bare.base)
  if (plain === true && !allowed) throw new RegistryError('PLAIN_HTTP_REFUSED', { host })
  if (plain === true || (allowed && !isLoopback(bare.base.hostname)) || plainHosts.has(bare.base.host)) return bare
  if (!isLoopback(bare.base.hostname)) return https
  return (await speaksTls(https, http, deadline)) ? https : bare
}

async function speaksTls({ base }: Channel, http: Http, deadline: Deadline): Promise<boolean> {
  try {
    const url = new URL('/v2/', base)
    await drain(await http.send({ method: 'GET', url, headers: {}, what: 'its version' }, deadline))
    return true
  } catch (error) {
    if (isRegistryError(error) && /^(?:EPROTO$|ERR_SSL_)/.test(networkCode(error))) return false
    throw error
  }
}
