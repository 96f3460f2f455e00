import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'

/** The clock ticks of Linux, as programs are told them. */
const TICK_MS = 10
/** A machine that slept, or a clock that is made up for a test, says what cannot be. */
const LONGEST_START_MS = 60_000

/**
 * Milliseconds since somebody made this process. Whoever waits for it has counted since then, and on a busy machine Node
 * takes seconds to get to our first line.
 */
export function processAge(): number {
  const own = process.uptime() * 1000
  const started = processStart(process.pid)
  const age = started === undefined ? own : uptime() * 1000 - started * TICK_MS
  return age > own && age - own < LONGEST_START_MS ? age : own
}

/** When a process was made, in ticks since boot; undefined where the system has no /proc. */
export function processStart(pid: number): number | undefined {
  const text = readOptional(`/proc/${pid}/stat`)
  // The second field is the program's name in parentheses and may hold anything; the start is the 20th after it.
  return text === undefined ? undefined : Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19])
}

/** undefined where it is not there, or not for us: either way nothing is known. */
export function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}
