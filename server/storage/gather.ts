/** Work that is asked for and done at most once in each turn of the event loop. */
export type Gathered<I, O> = (item: I) => Promise<O>
export type Outcome<O> = { readonly value: O } | { readonly error: unknown }

/**
 * Has `all` do together what was asked for in one turn: what waits for the disk waits once. One thing's error is its
 * own; where `all` itself throws, that is everybody's.
 */
export function gather<I, O>(all: (items: readonly I[]) => readonly Outcome<O>[]): Gathered<I, O> {
  type Waiting = { item: I; resolve: (value: O) => void; reject: (error: unknown) => void }
  let waiting: Waiting[] = []
  return (item) =>
    new Promise((resolve, reject) => {
      if (waiting.push({ item, resolve, reject }) === 1) setImmediate(flush)
    })

  function flush(): void {
    const batch = waiting
    waiting = []
    const outcomes = outcomesOf(batch.map(({ item }) => item))
    for (const [at, { resolve, reject }] of batch.entries()) {
      const outcome = outcomes[at]
      if (outcome === undefined || 'error' in outcome) reject(outcome?.error)
      else resolve(outcome.value)
    }
  }

  function outcomesOf(items: readonly I[]): readonly Outcome<O>[] {
    try {
      return all(items)
    } catch (error) {
      return items.map(() => ({ error }))
    }
  }
}
