/**
 * One at a time for each name, in the order of asking. Publishes to one repository would only make each other's work
 * void; publishes to different ones do not wait for each other.
 */
export type Queue = {
  readonly run: <T>(name: string, work: () => Promise<T>) => Promise<T>
  /** Resolves when nothing runs or waits. */
  readonly idle: () => Promise<void>
}

export function makeQueue(): Queue {
  const last = new Map<string, Promise<unknown>>()
  return {
    async run(name, work) {
      const turn = (last.get(name) ?? Promise.resolve()).then(work)
      const settled = turn.catch(() => undefined) // the next in line does not care how this one ended
      last.set(name, settled)
      try {
        return await turn
      } finally {
        if (last.get(name) === settled) last.delete(name)
      }
    },
    async idle() {
      while (last.size > 0) await Promise.all(last.values())
    },
  }
}
