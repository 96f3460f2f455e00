/** How long a role's files live, where its delegator says otherwise than the customs of the dialect. */
import type { Authority, Unknown } from '../../tuf/index.ts'

/**
 * A member of the role's entry in its delegator, in seconds: whoever delegates decides, and every publish of the role goes by
 * it, on whatever machine. Other tools keep it unread (ADR 0008).
 */
const FIELD = 'x-tagseal-lifetime'
const UNITS: ReadonlyMap<string, number> = new Map([
  ['h', 3_600],
  ['d', 86_400],
  ['w', 604_800],
])
/** Shorter, nobody could renew it in time; longer, it would outlive every root. */
const [SHORTEST, LONGEST] = [3_600, 10 * 365 * 86_400]

/** In milliseconds; undefined where the entry says nothing, or nothing that could be meant. */
export function lifetimeIn({ role }: Pick<Authority, 'role'>): number | undefined {
  const seconds = role.unknown.get(FIELD)
  return typeof seconds === 'number' && isLifetime(seconds) ? seconds * 1000 : undefined
}

/** `30d`, `12h`, `2w` as seconds; undefined for what is none, or too short or too long. */
export function parseLifetime(text: string): number | undefined {
  const [, number = '', unit = ''] = /^([1-9]\d{0,4})([hdw])$/.exec(text) ?? []
  const seconds = Number(number) * (UNITS.get(unit) ?? 0)
  return isLifetime(seconds) ? seconds : undefined
}

export function withLifetime(unknown: Unknown, seconds: number): Unknown {
  return new Map(unknown).set(FIELD, seconds)
}

/** `30d`. */
export function lifetimeText(milliseconds: number): string {
  const hours = milliseconds / 3_600_000
  return hours % 24 === 0 ? `${hours / 24}d` : `${Math.round(hours)}h`
}

function isLifetime(seconds: number): boolean {
  return Number.isSafeInteger(seconds) && seconds >= SHORTEST && seconds <= LONGEST
}
