/** One repository that is kept refreshed, so that most questions about it are answered from memory. */
import { expiryOf } from '../trust/repository.ts'
import type { Repository, View } from '../trust/repository.ts'
import type { Evidence } from './judge.ts'
import type { Moment, Steady } from './steady.ts'

/** A state that was trusted at one moment, with the answers that were taken from it. */
export type Standing = {
  readonly view: View
  /** By tag; worked out once for each state. */
  readonly answers: Map<string, Promise<Evidence>>
  readonly began: Moment
}

export type WarmOptions = {
  /** Judges by the same clock. */
  readonly repository: Repository
  readonly steady: Steady
  /** On a clock that nobody sets. */
  readonly monotonic: () => number
  /** How old an answer may be, in milliseconds. */
  readonly maxAge: number
  /** Refreshes by itself while it is being asked. Not for a program that answers once and ends. */
  readonly background: boolean
  readonly signal: AbortSignal
  /** Works out again what the state before was asked, so that whoever asks next need not wait. */
  readonly prepare: (next: Standing, before: Standing) => Promise<void>
  /** Told of each refresh that failed and that nobody waited for. */
  readonly failed?: ((error: unknown) => void) | undefined
}

export type Warm = {
  /** A state no older than `maxAge` and not expired, from memory where there is one. Throws what the refresh throws. */
  readonly standing: () => Promise<Standing>
  /** The same where it is there already, without waiting; undefined: ask `standing`. */
  readonly peek: () => Standing | undefined
  /** Whether a state may still be answered from. */
  readonly isGood: (standing: Standing) => boolean
  /** Milliseconds since 1970 until which that is so. */
  readonly goodUntil: (standing: Standing) => number
  /** Ends what is refreshed by itself; whoever asked before is answered still. */
  readonly close: () => void
}

/** Refreshed this often while it is asked, however old it may become when that fails. */
const OFTEN_MS = 60_000
const SHORTEST_MS = 200
/** Nobody asked for this long: the next one who does waits for a refresh. */
const COLD_MS = 3_600_000
/** What failed is not tried again for each question. */
const RETRY_MS = 1000

export function openWarm(options: WarmOptions): Warm {
  const { repository, maxAge, background, signal, steady, monotonic } = options
  let standing: Standing | undefined
  let flight: Promise<Standing> | undefined
  let failure: { readonly error: unknown; readonly at: number } | undefined
  let asked = monotonic()
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  /** Neither setting a clock back nor stopping this process makes a state younger. */
  function isGood({ began, view }: Standing): boolean {
    const now = Math.max(steady.now(), began.wall + monotonic() - began.monotonic)
    return now - began.wall < maxAge && now < expiryOf(view)
  }

  async function refresh(): Promise<Standing> {
    const began = steady.moment()
    const before = standing
    const next = { view: await repository.refresh(signal), answers: new Map(), began }
    if (before !== undefined) await options.prepare(next, before)
    standing = next
    steady.hold(began)
    failure = undefined
    return next
  }

  /** One at a time, whoever waits for it. */
  function fly(): Promise<Standing> {
    flight ??= refresh()
      .catch((error: unknown) => {
        failure = { error, at: monotonic() }
        throw error
      })
      .finally(() => {
        flight = undefined
        schedule()
      })
    return flight
  }

  function schedule(): void {
    if (!background || isClosed || signal.aborted) return
    clearTimeout(timer)
    timer = setTimeout(ahead, pause()).unref()
  }

  /** Well before the state becomes too old or expires; after a failure soon enough for several more tries. */
  function pause(): number {
    const left = standing === undefined ? maxAge : Math.min(maxAge, expiryOf(standing.view) - steady.now())
    return Math.min(Math.max(left / 4, failure === undefined ? SHORTEST_MS : RETRY_MS), OFTEN_MS)
  }

  function ahead(): void {
    if (monotonic() - asked > COLD_MS) return
    fly().catch((error: unknown) => {
      if (!isClosed) options.failed?.(error)
    })
  }

  function peek(): Standing | undefined {
    asked = monotonic()
    return standing !== undefined && isGood(standing) ? standing : undefined
  }

  return {
    peek,
    async standing() {
      const known = peek()
      if (known !== undefined) return known
      if (failure !== undefined && monotonic() - failure.at < RETRY_MS) throw failure.error
      return await fly()
    },
    isGood,
    goodUntil: (known) => Math.min(expiryOf(known.view), known.began.wall + maxAge),
    close() {
      isClosed = true // a refresh that is under way arms the timer no more
      clearTimeout(timer)
    },
  }
}
