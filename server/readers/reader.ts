/** One reader, as the main process sees it. */
import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import { fileURLToPath } from 'node:url'
import type { Address } from '../listen.ts'
import { isFromReader } from './messages.ts'
import type { Order, Report, ToReader } from './messages.ts'

export type Reader = {
  readonly pid: number | undefined
  /** Resolves when it accepts connections. Throws ReaderFailed. */
  readonly serve: (order: Order, record: (report: Report) => void) => Promise<Address>
  readonly send: (message: ToReader) => void
  readonly kill: () => void
  /** Resolves, to its exit code or the signal that ended it, when it is gone. */
  readonly ended: Promise<number | string>
}

/** `code` is the operating system's where it says why. */
export class ReaderFailed extends Error {
  override readonly name = 'ReaderFailed'
  readonly code: string
  constructor(code: string) {
    super(`a reader does not serve: ${code}`)
    this.code = code
  }
}

/** The published program is one file beside another. */
const PROGRAM = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './tagseal-server-reader.mjs', import.meta.url),
)

/** Keys, PINs and passphrases of the main process are not for whoever speaks with the outside; settings come by order. */
function withheld(): Readonly<Record<string, undefined>> {
  const names = Object.keys(process.env).filter((name) => /^(?:TAGSEAL_|CREDENTIALS_DIRECTORY$)/.test(name))
  return Object.fromEntries(names.map((name) => [name, undefined]))
}

/** Starts the process, which loads its program and waits for its order. */
export function startReader(): Reader {
  // All accept from one socket, so that what one of them has no time for waits for none of them.
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({ exec: PROGRAM, args: [] })
  const worker = cluster.fork(withheld())
  // What cannot be sent to one that is ending need not be known: its end is.
  worker.on('error', () => undefined)
  const ended = new Promise<number | string>((resolve) => {
    worker.once('exit', (code: number | null, signal: string | null) => resolve(signal ?? code ?? 'an error'))
  })
  const send = (message: ToReader) => {
    if (worker.isConnected()) worker.send(message)
  }
  return {
    pid: worker.process.pid,
    send,
    ended,
    kill: () => void worker.process.kill('SIGKILL'),
    async serve(order, record) {
      const accepting = acceptance(worker, ended)
      worker.on('message', (message: unknown) => {
        if (isFromReader(message) && message.kind === 'report') record(message.report)
      })
      send({ kind: 'serve', order })
      return accepting
    },
  }
}

function acceptance(worker: Worker, ended: Promise<number | string>): Promise<Address> {
  return new Promise((resolve, reject) => {
    worker.on('message', (message: unknown) => {
      if (!isFromReader(message)) return
      if (message.kind === 'listening') resolve(message.address)
      if (message.kind === 'failed') reject(new ReaderFailed(message.why))
    })
    void ended.then((how) => reject(new ReaderFailed(`a reader ended with ${how}`)))
  })
}
