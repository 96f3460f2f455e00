import type { Http } from '../http.ts'
import { judgedBy } from './judged-http.ts'
import { keptAuthorities } from './server-ca.ts'
import type { TrustServer } from './server-ca.ts'

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
    return towards(origin, judgedBy({ by: serverCa.from }, await own), common)
  }
}

function towards(origin: string, own: Http, others: () => Promise<Http>): Http {
  return {
    send: async (request) => await (request.url.origin === origin ? own : await others()).send(request),
    close: own.close,
  }
}
