import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Address } from '../listen.ts'
import type { TlsFiles } from '../tls.ts'
import type { Order, Report } from './messages.ts'
import { startReader } from './reader.ts'
import type { Reader } from './reader.ts'

/** All readers of a server. */
export type Readers = {
  /**
   * Resolves when the first one accepts connections: they share one socket, so nobody waits for the others, which follow.
   * Whoever dies from then on is replaced. Throws ReaderFailed.
   */
  readonly serve: (order: Order, record: (report: Report) => void) => Promise<Address>
  /** For those that run, and those to come. */
  readonly use: (tls: TlsFiles) => void
  /** They finish what they have begun, and end. Whoever needs more than that many seconds is killed. */
  readonly stop: (seconds: number) => Promise<void>
}

type Work = { readonly order: Order; readonly record: (report: Report) => void }

const FIRST_DELAY_MS = 100
const MOST_DELAY_MS = 10_000
/** Whoever lived for that long did not die of how it was started. */
const LONG_MS = 60_000

/** The first one loads its program while the caller does other things. */
export function startReaders(many: number, logger: Logger): Readers {
  const first = startReader()
  const running = new Set<Reader>([first])
  const stopping = new AbortController()
  let work: Work | undefined
  return {
    async serve(order, record) {
      work = { order, record }
      const address = await first.serve(order, record)
      void replaceAtItsEnd(first, FIRST_DELAY_MS)
      for (let i = 1; i < many; i++) add(work, FIRST_DELAY_MS)
      return address
    },
    use(tls) {
      if (work !== undefined) work = { ...work, order: { ...work.order, tls } }
      for (const reader of running) reader.send({ kind: 'tls', tls })
    },
    async stop(seconds) {
      stopping.abort()
      const readers = [...running]
      for (const reader of readers) reader.send({ kind: 'stop' })
      const overdue = setTimeout(() => {
        for (const reader of readers) reader.kill()
      }, seconds * 1000)
      await Promise.all(readers.map(({ ended }) => ended))
      clearTimeout(overdue)
    },
  }

  function add({ order, record }: Work, delay: number): void {
    const reader = startReader()
    running.add(reader)
    void replaceAtItsEnd(reader, delay)
    reader.serve(order, record).catch((error: unknown) => {
      logger.error({ err: error, reader: reader.pid }, 'a reader cannot serve')
      reader.kill()
    })
  }

  /** After a while, which grows as long as they die young: what ends them at once would otherwise keep a core busy. */
  async function replaceAtItsEnd(reader: Reader, delay: number): Promise<void> {
    const began = Date.now()
    const how = await reader.ended
    running.delete(reader)
    if (stopping.signal.aborted) return
    logger.error({ reader: reader.pid, ended: how }, 'a reader ended, and another one follows')
    const pause = Date.now() - began > LONG_MS ? FIRST_DELAY_MS : delay
    await sleep(pause, undefined, { signal: stopping.signal }).catch(() => undefined)
    if (!stopping.signal.aborted && work !== undefined) add(work, Math.min(2 * pause, MOST_DELAY_MS))
  }
}
