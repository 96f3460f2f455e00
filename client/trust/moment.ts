/** Somebody else may do the same within this time, and nobody could tell afterwards who was first (ADR 0016). */
const MOMENT_MS = 60_000

/** Whether `at` lies less than a minute before `now`, and not after it; both in milliseconds. */
export function isMomentAgo(at: number, now: number): boolean {
  return at <= now && now - at < MOMENT_MS
}
