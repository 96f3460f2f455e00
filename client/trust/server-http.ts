import { HttpError, isHttpError, refusesCertificate } from '../http-errors.ts'
import type { Http } from '../http.ts'
import { keptAuthorities } from './server-ca.ts'
import type { ServerCa, TrustServer } from './server-ca.ts'

/** To each trust server by the authorities that are kept for it; to everybody else, where a server redirects, by those of the run. */
export function openServerHttp(
  common: () => Promise<Http>,
  open: (ca: string) => Promise<Http>,
): (server: TrustServer) => Promise<Http> {
  const opened = new Map<string, Promise<Http>>()
  return async ({ server, serverCa }) => {
    if (serverCa === undefined) return await common()
    const { origin } = new URL(server)
    const key = `${origin} ${serverCa.pem}`
    const own = opened.get(key) ?? open(keptAuthorities(serverCa.pem, serverCa.from).pem)
    opened.set(key, own)
    return towards(origin, await own, serverCa, common)
  }
}

function towards(origin: string, own: Http, { from }: ServerCa, others: () => Promise<Http>): Http {
  return {
    async send(request) {
      if (request.url.origin !== origin) return await (await others()).send(request)
      try {
        return await own.send(request)
      } catch (error) {
        throw judgedBy(from, error)
      }
    },
    close: own.close,
  }
}

/** Nobody should look for what refused a certificate in what this machine trusts. */
function judgedBy(from: string, error: unknown): unknown {
  if (!isHttpError(error) || error.code !== 'NETWORK' || !refusesCertificate(error.detail.reason)) return error
  return new HttpError('NETWORK', { ...error.detail, by: from }, { cause: error.cause })
}
