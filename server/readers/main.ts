/**
 * A reader: a process that accepts connections beside others of its kind (ADR 0031). It is started by the main process,
 * does as that one says, and ends with it: Node's cluster ends a worker whose channel closes, however that happened.
 */
import type { Settings } from '../config.ts'
import { openLog } from '../log.ts'
import { makeDrain } from '../serve/drain.ts'
import { openServedFiles } from '../serve/files.ts'
import { openSqliteReading } from '../storage/sqlite.ts'
import { useTls } from '../tls.ts'
import { buildReader } from './app.ts'
import { makeForwarder } from './forward.ts'
import { isToReader } from './messages.ts'
import type { FromReader, Order, ToReader } from './messages.ts'
import { provenFiles } from './proven.ts'
import { socketPathIn } from './socket.ts'
import { makeTally } from './tally.ts'

type Reader = { readonly use: (tls: ToReader & { kind: 'tls' }) => void; readonly stop: () => Promise<void> }

const TELL_EVERY_MS = 1000

// A terminal and a service manager signal the whole group, and only the main process knows what to do about it.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)

let reader: Promise<Reader> | undefined
process.on('message', (message) => {
  if (isToReader(message)) void obey(message)
})

async function obey(message: ToReader): Promise<void> {
  switch (message.kind) {
    case 'serve':
      reader = open(message.order)
      return reader.then(undefined, fail)
    case 'tls':
      return (await reader)?.use(message)
    case 'stop':
      await (await reader)?.stop()
      process.exit(0)
  }
}

/** The main process decides what follows from it. */
async function fail(error: unknown): Promise<void> {
  const why = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  await tell({ kind: 'failed', why })
  process.exit(1)
}

async function open({ settings, serves, host, port, tls }: Order): Promise<Reader> {
  const logger = openLog(settings.logLevel)
  process.on('exit', logger.flushed)
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught')
    process.exit(1)
  })
  const tally = makeTally()
  const store = openSqliteReading(settings.data)
  const forwarder = makeForwarder(socketPathIn(settings.data), () => !app.server.listening)
  const files = provenFiles(store, openServedFiles(store.metadata, shareOf(settings)))
  const deps = { settings, serves, store, files, forwarder, logger, metrics: tally, sightings: tally, clock: Date.now }
  const app = buildReader(deps, tls)
  const drain = makeDrain(app.server, settings.drainTimeout)
  await app.listen({ host, port, listenTextResolver: () => `reader ${process.pid} accepts connections` })
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new TypeError('not bound to a port')
  await tell({ kind: 'listening', address })
  const telling = setInterval(() => void report(), TELL_EVERY_MS)
  return {
    use({ tls: renewed }) {
      useTls(app.server, renewed)
    },
    async stop() {
      await drain(() => app.close())
      clearInterval(telling)
      forwarder.close()
      store.close()
      await report()
    },
  }

  async function report(): Promise<void> {
    const served = tally.take()
    if (served !== undefined) await tell({ kind: 'report', report: served })
  }
}

/** Resolves when it is written; there is nobody to tell once the channel is closed. */
function tell(message: FromReader): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve()
    else process.send(message, undefined, undefined, () => resolve())
  })
}

/** Each has files of its own in memory, and all of them together keep to the setting. */
function shareOf({ cacheBytes, readers }: Settings): number {
  return Math.floor(cacheBytes / Math.max(1, readers))
}
