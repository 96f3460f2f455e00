/** What a server is made of, before it has a socket. */
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Freshness } from './freshness/freshness.ts'
import type { AppDeps } from './routes/deps.ts'
import type { TlsFiles } from './tls.ts'

/** What enters from outside: everything that is not a setting. */
export type Surroundings = {
  readonly clock: () => number
  readonly random: () => number
  /** Milliseconds that no change of the clock touches. */
  readonly monotonic?: () => number
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logger: Logger
}

/** The services behind the routes, without a socket. Close them in the order in which `close` does. */
export type Services = {
  readonly app: FastifyInstance
  readonly deps: AppDeps
  readonly freshness: Freshness
  /** Told of the certificate that is shown from now on. */
  readonly shows: (tls: TlsFiles) => void
  /** From now on this server is not ready for new requests. */
  readonly drain: () => void
  readonly close: () => Promise<void>
}
