import { once } from 'node:events'
import { createServer } from 'node:net'
import { hostPort } from '../config.ts'
import type { Settings } from '../config.ts'
import type { Door } from '../frame.ts'
import { listenFailed, urlOf } from '../listen.ts'
import type { Address, Listening } from '../listen.ts'
import { makeDrain } from '../serve/drain.ts'
import type { Services, Surroundings } from '../services.ts'
import { reloadTls } from '../tls.ts'
import type { TlsFiles } from '../tls.ts'
import { MOST_IDLE } from './forward.ts'
import type { Readers } from './pool.ts'
import { keepToOurselves, removeSocket, socketPathIn } from './socket.ts'

/** What readers pass on may wait in this number, as connections of callers may. The kernel has its own limit as well. */
const BACKLOG = 4096
/** For a reader to end once its last request is over, or cut off. */
const PARTING_SECONDS = 3
/** For what the readers had passed on and nobody waits for any more. */
const LEFT_BEHIND_SECONDS = 1

/** The socket between the processes. Callers have met the real limits in front of it. */
export function insideDoor(settings: Settings): Door {
  const { maxHeaderBytes, headersTimeout, requestTimeout, maxConnections, readers } = settings
  const limits = {
    maxHeaderBytes: maxHeaderBytes + 1024, // with what a reader adds
    headersTimeout: headersTimeout + 5,
    requestTimeout: requestTimeout + 5,
    keepAliveTimeout: 0, // ended by the readers alone
    maxConnections: maxConnections + readers * (MOST_IDLE + 1),
  }
  return { inside: true, limits }
}

type Parts = {
  readonly readers: Readers
  readonly settings: Settings
  readonly around: Surroundings
  readonly services: Services
  readonly tls: TlsFiles | undefined
}

/** Has readers take the requests; this process answers what they pass on. Throws LISTEN_FAILED. */
export async function listenBehind(parts: Parts): Promise<Listening> {
  const { readers, settings, services, around } = parts
  const socket = socketPathIn(settings.data)
  const { app } = services
  const { logger } = around
  const drain = makeDrain(app.server, LEFT_BEHIND_SECONDS)
  removeSocket(socket)
  await app.listen({ path: socket, backlog: BACKLOG, listenTextResolver: () => `behind ${settings.readers} readers` })
  keepToOurselves(socket)
  const url = urlOf(settings, await accept(parts))
  logger.info(`listening on ${url}`)
  return {
    url,
    reloadTls: () =>
      reloadTls(settings, logger, (tls) => {
        readers.use(tls)
        services.shows(tls)
      }),
    async close() {
      services.drain()
      await readers.stop(settings.drainTimeout + PARTING_SECONDS)
      await drain(services.close)
    },
  }
}

async function accept({ readers, settings, services, tls }: Parts): Promise<Address> {
  const { metrics, sightings, restored } = services.deps
  const serves = !settings.private && restored === undefined
  try {
    const { host, port } = hostPort(settings.listen)
    const order = { settings, serves, host, port: await settlePort(host, port), ...(tls === undefined ? {} : { tls }) }
    return await readers.serve(order, ({ counts, seen }) => {
      for (const [route, status, times] of counts) metrics.request(route, status, times)
      for (const [repository, who, version] of seen) sightings.note(repository, who, version)
    })
  } catch (cause) {
    throw listenFailed(settings, cause)
  }
}

/** Where any port will do it is chosen here, so that a reader that follows another takes the same. */
async function settlePort(host: string, port: number): Promise<number> {
  if (port !== 0) return port
  const server = createServer().listen({ host, port })
  await once(server, 'listening')
  const bound = server.address()
  server.close()
  await once(server, 'close')
  return typeof bound === 'object' && bound !== null ? bound.port : port
}
