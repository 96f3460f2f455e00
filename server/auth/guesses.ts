/** Counts wrong secrets by address, so that guessing, or a script gone wild with an old token, is slowed down. */
export type GuessLimit = {
  /** Counts one; whether it is more than an address has in a minute. */
  readonly wrong: (address: string) => boolean
}

const WINDOW_MS = 60_000
const ALLOWED = 30
const MAX_ADDRESSES = 10_000

/** Right secrets are never counted nor held up: many callers may share the address of one proxy. */
export function makeGuessLimit(clock: () => number): GuessLimit {
  const counts = new Map<string, { count: number; readonly until: number }>()
  return {
    wrong(address) {
      const now = clock()
      const known = counts.get(address)
      if (known !== undefined && now < known.until) return ++known.count > ALLOWED
      counts.delete(address)
      if (counts.size >= MAX_ADDRESSES) counts.delete(counts.keys().next().value ?? address)
      counts.set(address, { count: 1, until: now + WINDOW_MS })
      return false
    },
  }
}
