/** For services that nobody looks at but by their log: what expires soon, once for each file. */
import { expiringIn, expiryText } from '../publish/expiry.ts'
import type { View } from '../trust/repository.ts'

export type ExpiryLog = {
  readonly clock: () => number
  readonly log: (entry: Readonly<Record<string, unknown>>) => void
}

/** A state is looked at this often, in milliseconds: roles are asked one after the other. */
const EVERY_MS = 60_000
/** Files that are remembered as told; of more than this some are told again. */
const MOST_TOLD = 65_536

/** To be called with each state that an answer came from: a look at most once a minute, a line once for each file. */
export function openExpiryLog({ clock, log }: ExpiryLog): (repository: string, view: View) => void {
  const looked = new WeakMap<View, number>()
  const told = new Set<string>()
  return (repository, view) => {
    const now = clock()
    const before = looked.get(view)
    if (before !== undefined && Math.abs(now - before) < EVERY_MS) return
    looked.set(view, now)
    for (const file of expiringIn(view, now)) {
      const expires = new Date(file.expires).toISOString()
      const mark = `${repository} ${file.name} ${expires}`
      if (told.has(mark)) continue
      if (told.size >= MOST_TOLD) told.clear()
      told.add(mark)
      log({ event: 'expires soon', repository, role: file.name, expires, message: expiryText(file, repository, now) })
    }
  }
}
