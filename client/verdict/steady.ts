/**
 * What time it is for a process that stays. Whoever sets the clock of its machine back would bring to life what has
 * expired; but a day that it saw pass since a refresh that was good has passed, wherever that clock stands now.
 */
export type Clocks = {
  /** Milliseconds since 1970. */
  readonly clock: () => number
  /** Milliseconds on a clock that nobody sets. */
  readonly monotonic: () => number
}

export type Steady = {
  /** Milliseconds since 1970: never less than what `hold` was told, and all that has passed since. */
  readonly now: () => number
  /** At this moment, which `now` gave, what a server had signed was good: no clock far ahead could have shown that. */
  readonly hold: (moment: Moment) => void
  readonly moment: () => Moment
}
export type Moment = { readonly wall: number; readonly monotonic: number }

export function openSteady({ clock, monotonic }: Clocks): Steady {
  let held: Moment | undefined
  const passed = ({ wall, monotonic: before }: Moment) => wall + Math.floor(monotonic() - before)
  const now = () => Math.max(clock(), held === undefined ? 0 : passed(held))
  return {
    now,
    moment: () => ({ wall: now(), monotonic: monotonic() }),
    hold: (moment) => void (held = moment),
  }
}
