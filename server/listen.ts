import { ConfigError } from './config-error.ts'
import { hostPort } from './config.ts'
import type { Settings } from './config.ts'
import { makeDrain } from './serve/drain.ts'
import type { Services, Surroundings } from './services.ts'
import { reloadTls, useTls } from './tls.ts'

/** A server that takes requests. */
export type Listening = {
  readonly url: string
  /** Reads certificate and key again. What is wrong with them is logged, and the old ones stay. */
  readonly reloadTls: () => void
  /** Lets running requests finish, up to the drain timeout; then the services are closed. */
  readonly close: () => Promise<void>
}

/** Takes requests in this process, which does everything. Throws LISTEN_FAILED. */
export async function listen(settings: Settings, { logger }: Surroundings, services: Services): Promise<Listening> {
  const { app } = services
  const drain = makeDrain(app.server, settings.drainTimeout)
  try {
    const listenTextResolver = (address: string) => `listening on ${shown(address, settings)}`
    await app.listen({ ...hostPort(settings.listen), listenTextResolver })
  } catch (cause) {
    throw listenFailed(settings, cause)
  }
  const bound = app.server.address()
  if (bound === null || typeof bound === 'string') throw new TypeError('not bound to a port')
  return {
    url: urlOf(settings, bound),
    reloadTls: () =>
      reloadTls(settings, logger, (tls) => {
        useTls(app.server, tls)
        services.shows(tls)
      }),
    close: () => drain(services.close),
  }
}

/** Fastify takes a server that it did not make for one of plain http. */
function shown(address: string, { tlsCert }: Settings): string {
  return tlsCert === undefined ? address : address.replace(/^http:/, 'https:')
}

export function urlOf({ tlsCert }: Settings, { address: host, port, family }: Address): string {
  return `${tlsCert === undefined ? 'http' : 'https'}://${family === 'IPv6' ? `[${host}]` : host}:${port}`
}
export type Address = { readonly address: string; readonly family: string; readonly port: number }

export function listenFailed({ listen }: Settings, cause: unknown): ConfigError {
  const why = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
  return new ConfigError('LISTEN_FAILED', { listen, why }, { cause })
}
