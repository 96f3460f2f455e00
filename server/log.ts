import { destination, pino } from 'pino'
import type { Logger } from 'pino'

/**
 * Structured lines on stderr; stdout has the address and nothing else. Written together a few kilobytes at a time,
 * for at full load a system call per request would cost more than the request. Never more than a pipe takes in one piece
 * (4096 on Linux), for several processes write to the same one.
 */
export function openLog(level: string, minLength = 3072): Logger & { readonly flushed: () => void } {
  const out = destination({ fd: 2, minLength, maxWrite: 4096, sync: true, periodicFlush: 500 })
  const logger = pino({ level, base: null, serializers: { err: pino.stdSerializers.err } }, out)
  return Object.assign(logger, { flushed: () => out.flushSync() })
}
