import { isKeyError, KeyError } from '../../keys/errors.ts'
import type { KeyCode } from '../../keys/errors.ts'
import type { KeyHolder } from './holder.ts'

/** How long one that did not answer is left alone: whoever waits behind it is told at once. */
const PAUSE_MS = 5000
const MOST_WAITING = 1000
const NO_ANSWER: ReadonlySet<KeyCode> = new Set(['SIGNER_TIMEOUT', 'SIGNER_UNAVAILABLE'])

export type PauseOptions = {
  /** For errors: `the signer`. */
  readonly name: string
  /** Questions at a time. */
  readonly most: number
  readonly monotonic: () => number
}

/**
 * A holder that asks so many at a time, and nobody for a while after one did not answer. Without this a signer that
 * hangs would hold up every publish and every repository due for a signature, each for as long as a signature may take.
 */
export function pausing(holder: KeyHolder, { name, most, monotonic }: PauseOptions): KeyHolder {
  let silentUntil = Number.NEGATIVE_INFINITY
  let running = 0
  const waiting: (() => void)[] = []
  const { unused, published } = holder

  async function ask<T>(work: () => Promise<T>): Promise<T> {
    await turn()
    try {
      if (monotonic() < silentUntil) throw unavailable('it gave no answer a moment ago')
      return await work()
    } catch (error) {
      if (isKeyError(error) && NO_ANSWER.has(error.code) && monotonic() >= silentUntil) {
        silentUntil = monotonic() + PAUSE_MS
      }
      throw error
    } finally {
      running -= 1
      waiting.shift()?.()
    }
  }
  async function turn(): Promise<void> {
    if (waiting.length >= MOST_WAITING) throw unavailable('too many wait for it')
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    running += 1
  }
  const unavailable = (why: string) => new KeyError('SIGNER_UNAVAILABLE', { signer: name, why })

  return {
    ...holder,
    make: (purpose) => ask(() => holder.make(purpose)),
    ...(unused && { unused: (purpose) => ask(() => unused(purpose)) }),
    ...(published && { published: (record, version) => ask(() => published(record, version)) }),
    sign: (record, toSign) => ask(() => holder.sign(record, toSign)),
    async notReady() {
      return monotonic() < silentUntil ? 'its signing keys gave no answer a moment ago' : ask(holder.notReady)
    },
  }
}
