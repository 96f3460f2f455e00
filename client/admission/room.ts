/** What all reviews under way may take together: who sends many large ones at once must not take the memory of all. */
import { AdmissionError } from './errors.ts'

export type Room = {
  /** For one review; ended by whoever opened it. */
  readonly open: () => Share
}
export type Share = {
  /** Why so much more is not to be had; undefined where it is. */
  readonly take: (bytes: number) => AdmissionError<'TOO_BUSY'> | undefined
  /** What goes on although its answer is out still holds what it was asked. */
  readonly keepFor: (work: Promise<unknown>) => void
  readonly close: () => void
}

/** By the bytes that came, not by those that were announced: a promise holds no memory. */
export function openRoom(limit: number): Room {
  let used = 0
  return {
    open() {
      const kept: Promise<unknown>[] = []
      let taken = 0

      async function giveBack(): Promise<void> {
        await Promise.allSettled(kept)
        used -= taken
        taken = 0
      }

      return {
        take(bytes) {
          if (used + bytes > limit) return new AdmissionError('TOO_BUSY', { limit })
          used += bytes
          taken += bytes
          return undefined
        },
        keepFor: (work) => void kept.push(work),
        close: () => void giveBack(),
      }
    },
  }
}
