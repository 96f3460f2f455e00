import { destination, pino } from 'pino'
import type { Logger } from 'pino'

type Ours = Error & { readonly code: string; readonly detail: object }

/** Each of our classes of errors has them, and nothing that the system or a mistake of ours throws. */
function isOurs(error: unknown): error is Ours {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && 'detail' in error
}

/** What a line of the log has of an error: code and reason of a foreseen one, the stack of one that nobody foresaw. */
export function shownError(error: unknown): object {
  return isOurs(error) ? { code: error.code, reason: reasonOf(error) } : { err: error }
}

/** With what lies behind it, which the caller was not told. */
function reasonOf({ message, cause }: Error): string {
  if (!(cause instanceof Error)) return message
  const behind = reasonOf(cause)
  return message.includes(behind) ? message : `${message}: ${behind}`
}

/**
 * Structured lines on stderr; stdout has the address and nothing else. Written together a few kilobytes at a time,
 * for at full load a system call per request would cost more than the request. Never more than a pipe takes in one piece
 * (4096 on Linux), for several processes write to the same one.
 */
export function openLog(level: string, minLength = 3072): Logger & { readonly flushed: () => void } {
  const out = destination({ fd: 2, minLength, maxWrite: 4096, sync: true, periodicFlush: 500 })
  const logger = pino({ level, base: null, serializers: { err: pino.stdSerializers.err } }, out)
  OUTPUTS.set(logger, out)
  return Object.assign(logger, { flushed: () => out.flushSync() })
}

const OUTPUTS = new WeakMap<Logger, { readonly write: (line: string) => unknown }>()

/**
 * Writes lines of level `info` that all have this message, just as `logger.info` does. For the one line that a request
 * has: put together piece by piece, as pino does, it took longer than finding the answer.
 */
export function infoLines(logger: Logger, msg: string): (fields: object) => void {
  const out = OUTPUTS.get(logger)
  if (out === undefined) return (fields) => logger.info(fields, msg)
  const level = logger.levels.values.info
  return (fields) => {
    if (!logger.isLevelEnabled('info')) return
    out.write(`${JSON.stringify({ level, time: Date.now(), ...fields, msg })}\n`)
  }
}
