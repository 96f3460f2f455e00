import { shownError } from '../log.ts'
import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Logger } from 'pino'
import { openFrame } from '../frame.ts'
import type { FrameDeps } from '../frame.ts'
import { Problem } from '../problem.ts'
import { getMetadata, metadataAhead } from '../routes/metadata.ts'
import type { MetadataDeps } from '../routes/metadata.ts'
import { plainFile, rewriteUrl } from '../serve/rewrite-url.ts'
import type { ServedFiles } from '../serve/files.ts'
import type { ReadingStore } from '../storage/store.ts'
import type { Settings } from '../config.ts'
import type { TlsFiles } from '../tls.ts'
import type { Forwarder } from './forward.ts'

export type ReaderDeps = {
  readonly settings: Settings
  readonly serves: boolean
  readonly store: Pick<ReadingStore, 'metadata'>
  readonly files: Pick<ServedFiles, 'get' | 'inMemory'>
  readonly metrics: FrameDeps['metrics']
  readonly sightings: MetadataDeps['sightings']
  readonly clock: () => number
  readonly logger: Logger
  readonly forwarder: Pick<Forwarder, 'forward'>
}

/** Answers for trust metadata that anybody may read; all else goes to the main process, as it comes. */
export function buildReader(deps: ReaderDeps, tls: TlsFiles | undefined): FastifyInstance {
  const { settings, serves, forwarder, logger } = deps
  const unreachable = new WeakSet<IncomingMessage>()
  const app = openFrame(deps, {
    tls,
    limits: { maxConnections: shareOf(settings) },
    take(request, response, back) {
      if (serves && isForReaders(request)) return false
      forwarder.forward(request, response, (cause) => {
        logger.error(shownError(cause), 'the main process cannot be asked')
        unreachable.add(request)
        back()
      })
      return true
    },
    ahead: serves ? metadataAhead(deps) : undefined,
  })
  app.addHook('onRequest', (request, _reply, done) => {
    done(
      unreachable.has(request.raw) ? new Problem('UNAVAILABLE', { reason: 'it is too busy to be asked' }) : undefined,
    )
  })
  getMetadata(app, {
    ...deps,
    requireReader: () => Promise.reject(new Problem('UNAUTHORIZED', { reason: 'tokens are looked at elsewhere' })),
  })
  return app
}

/** Together the readers keep the limit. */
function shareOf({ maxConnections, readers }: Settings): number {
  return Math.ceil(maxConnections / Math.max(1, readers))
}

const FILE = /^\/v2\/[^/?]+\/_trust\/tuf\/[^/?]+\.json(?:\?|$)/

/** What looks any other way is not looked at closer here: the main process knows every route. */
function isForReaders({ method, url = '/' }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && (plainFile(url) !== undefined || FILE.test(rewriteUrl(url)))
}
