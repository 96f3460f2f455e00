/** How much memory V8 may take for objects that were made just now. */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

const ENOUGH_BYTES = 8 * 1024 * 1024
const LOOK_MS = 10

/**
 * V8 doubles that space again and again, up to 128 MiB on a machine with much memory, and keeps it. Whoever passes
 * gigabytes on soon fills any space with what lives for a moment, and is no faster with a large one (ADR 0036). One long
 * piece of work may still take more, once.
 */
export function boundYoungSpace(): void {
  const timer = setInterval(() => {
    if (sizeOfYoungSpace() < ENOUGH_BYTES) return
    setFlagsFromString('--semi-space-growth-factor=1')
    clearInterval(timer)
  }, LOOK_MS).unref()
}

/** In bytes. */
export function sizeOfYoungSpace(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? 0
}
