/** Follows a policy, or what else is read from files, while a service runs by it. */
import { statSync } from 'node:fs'
import { reasonOf } from '../files.ts'

type Read = { readonly files: readonly string[] }

export type WatchOptions<R extends Read> = {
  readonly load: () => Promise<R>
  /** Files beside those that were read whose change counts: this machine's pins. */
  readonly also: readonly string[]
  readonly adopted: (read: R) => void
  /** The new file is broken and the old one stays; told again every minute as long as that is so. */
  readonly broken: (error: unknown) => void
  readonly intervalMs?: number | undefined
  /**
   * When the program that read them began, in milliseconds since 1970: what changed since then may have been read before
   * it did, and is read again.
   */
  readonly since?: number | undefined
}

const INTERVAL_MS = 1000
const REMIND_MS = 60_000

export type Watch = {
  /** Reads it now, changed or not. */
  readonly again: () => void
  readonly close: () => void
}

/** Looks once a second: notices of the kernel do not come through every mount and link, and a look costs microseconds. */
export function watchFiles<R extends Read>(first: R, options: WatchOptions<R>): Watch {
  const interval = options.intervalMs ?? INTERVAL_MS
  let read = first
  const files = [...read.files, ...options.also]
  let seen = files.some((path) => changedAt(path) >= (options.since ?? Number.POSITIVE_INFINITY)) ? '' : stamp(files)
  let failure: { readonly error: unknown; told: number } | undefined
  let busy = false
  let asked = false

  async function look(): Promise<void> {
    const now = stamp([...read.files, ...options.also])
    if (now === seen && !asked) return remind()
    asked = false
    seen = now
    try {
      read = await options.load() // where it names other files now, the next look loads it once more
      failure = undefined
      options.adopted(read)
    } catch (error) {
      failure = { error, told: Date.now() }
      options.broken(error)
    }
  }

  function remind(): void {
    if (failure === undefined || Date.now() - failure.told < REMIND_MS) return
    failure.told = Date.now()
    options.broken(failure.error)
  }

  function lookOnce(): void {
    if (busy) return
    busy = true
    void look().finally(() => (busy = false))
  }

  const timer = setInterval(lookOnce, interval)
  timer.unref()
  return {
    again() {
      asked = true // where a look is under way, the next one reads it
      lookOnce()
    },
    close: () => clearInterval(timer),
  }
}

function stamp(files: readonly string[]): string {
  return files.map(stampOf).join('\n')
}

/** In milliseconds since 1970, as the kernel has it; never, for what is not there. */
function changedAt(path: string): number {
  try {
    return statSync(path).ctimeMs
  } catch {
    return Number.NEGATIVE_INFINITY // each look says what is wrong with it
  }
}

/** Another file under the name, or another content: an editor writes a new one, a configuration map swaps a link. */
function stampOf(path: string): string {
  try {
    const stat = statSync(path, { bigint: true })
    return `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`
  } catch (error) {
    return reasonOf(error)
  }
}
