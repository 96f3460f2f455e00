import { KeyError } from '../errors.ts'
import type { Surroundings } from './custodian.ts'

const MINUTE_MS = 60_000
/** What answers sooner asked nobody. */
const SILENCE_MS = 1000

export type Wait = Pick<Surroundings, 'say' | 'signal' | 'milliseconds'> & {
  /** For people: `the ssh-agent`. */
  readonly signer: string
  /** What somebody may have to do meanwhile. */
  readonly asking: string
}

/** Waits for somebody who may have to touch a token, says so once it takes long, and gives up in the end: SIGNER_TIMEOUT. */
export async function patiently<T>(wait: Wait, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { signer, asking, say, signal, milliseconds = MINUTE_MS } = wait
  const seconds = Math.ceil(milliseconds / 1000)
  const end = new AbortController()
  const limit = setTimeout(() => end.abort(new KeyError('SIGNER_TIMEOUT', { signer, seconds })), milliseconds)
  const words = setTimeout(() => say(`waiting for ${signer}: ${asking} (${seconds} s at most)`), SILENCE_MS)
  const interrupted = () => end.abort(new KeyError('SIGNER_FAILED', { signer, why: 'it was interrupted' }))
  if (signal?.aborted === true) interrupted()
  signal?.addEventListener('abort', interrupted, { once: true })
  try {
    return await Promise.race([aborted(end.signal), work(end.signal)])
  } finally {
    clearTimeout(limit)
    clearTimeout(words)
    signal?.removeEventListener('abort', interrupted)
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
    if (signal.aborted) fail()
    signal.addEventListener('abort', fail, { once: true })
  })
}
