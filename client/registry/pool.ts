/** Work of which each piece may bring more. */
export type Pool = {
  /** Queues a piece. Pieces added after a failure are dropped. */
  readonly add: (task: (signal: AbortSignal) => Promise<void>) => void
  /** Resolves when nothing is left; rejects with the first failure, once everything under way has stopped. */
  readonly finished: Promise<void>
}

/** Runs at most `width` pieces at once. The first failure, or the caller's signal, stops the others. */
export function openPool(width: number, caller?: AbortSignal): Pool {
  const stop = new AbortController()
  const signal = caller === undefined ? stop.signal : AbortSignal.any([caller, stop.signal])
  const { promise: finished, resolve, reject } = Promise.withResolvers<void>()
  const waiting: ((signal: AbortSignal) => Promise<void>)[] = []
  let running = 0
  let failure: { readonly error: unknown } | undefined

  const settle = () => {
    if (running > 0 || (waiting.length > 0 && failure === undefined)) return
    if (failure === undefined) resolve()
    else reject(failure.error)
  }
  const run = async (task: (signal: AbortSignal) => Promise<void>) => {
    try {
      signal.throwIfAborted()
      await task(signal)
    } catch (error) {
      failure ??= { error }
      stop.abort(error)
    }
    running--
    start()
    settle()
  }
  const start = () => {
    while (running < width && failure === undefined) {
      const task = waiting.shift()
      if (task === undefined) return
      running++
      void run(task)
    }
  }
  return {
    finished,
    add(task) {
      waiting.push(task)
      start()
    },
  }
}
