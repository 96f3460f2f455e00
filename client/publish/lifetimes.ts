const DAY_MS = 86_400_000

/** How long what we sign lives (DESIGN 5). */
export const LIFETIME_MS = {
  root: 730 * DAY_MS,
  targets: 365 * DAY_MS,
  snapshot: 7 * DAY_MS,
  timestamp: DAY_MS,
} as const

/** Warnings begin, and a publish renews, with a fifth of the lifetime left. */
export function isDue(kind: keyof typeof LIFETIME_MS, expires: number, now: number): boolean {
  return expires - now < LIFETIME_MS[kind] / 5
}
