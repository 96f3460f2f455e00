/**
 * Who has been served which timestamp: what a repository's owner asks when a key was stolen. Nobody signs it, a proxy in
 * between hides whoever is behind it, and an address is kept without its end.
 */
import { isIPv6 } from 'node:net'
import type { Sighting, SightingStore } from '../storage/store.ts'

export type Sightings = {
  /** One entry in a map: this is on the way of the most frequent request. */
  readonly note: (repository: string, who: Seen, version: number) => void
  /** Writes down what was noted since the last time. */
  readonly flush: () => Promise<void>
}
/** The name of a token, or where nobody gave one, an address. */
export type Seen = { readonly token: string } | { readonly address: string }

export type SightingOptions = {
  readonly store: SightingStore
  readonly clock: () => number
  /** Milliseconds for which they are kept; 0 notes nothing. */
  readonly life: number
}

/** Between two flushes: whoever comes from more places than that is not counted. */
const MOST_NOTED = 20_000
/** Of one repository. */
export const MOST_KEPT = 1000
const PRUNED_AT_ONCE = 1000

type Note = { readonly repository: string; readonly who: Seen; readonly version: number; readonly at: number }

export function makeSightings({ store, clock, life }: SightingOptions): Sightings {
  let notes = new Map<string, Note>()
  return {
    note(repository, who, version) {
      if (life === 0 || notes.size >= MOST_NOTED) return
      const name = 'token' in who ? who.token : who.address
      notes.set(`${name} ${repository}`, { repository, who, version, at: clock() })
    },
    async flush() {
      if (life === 0) return
      const noted = notes
      notes = new Map()
      if (noted.size > 0) await store.saw(byRepository(noted.values()), MOST_KEPT)
      await store.prune(clock() - life, PRUNED_AT_ONCE)
    },
  }
}

/** Of several that are one by now, the last one. */
function byRepository(notes: Iterable<Note>): ReadonlyMap<string, readonly Sighting[]> {
  const seen = new Map<string, Map<string, Sighting>>()
  for (const { repository, who, version, at } of notes) {
    const name = 'token' in who ? who.token : coarse(who.address)
    const known = seen.get(repository) ?? new Map<string, Sighting>()
    seen.set(repository, known)
    if ((known.get(name)?.at ?? 0) <= at) known.set(name, { who: name, version, at })
  }
  return new Map([...seen].map(([repository, known]) => [repository, [...known.values()]]))
}

/** The network that an address is in: /24 of IPv4, /48 of IPv6. */
function coarse(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+)\.\d+$/i.exec(address)?.[1] ?? /^(\d+\.\d+\.\d+)\.\d+$/.exec(address)?.[1]
  if (mapped !== undefined) return `${mapped}.0/24`
  return isIPv6(address) ? `${firstThree(address)}::/48` : 'elsewhere'
}

/** An address without its end begins with as many groups as are written before `::`, and zeros after them. */
function firstThree(address: string): string {
  const [start = ''] = address.split('%')[0]?.split('::') ?? []
  const groups = start.split(':').filter((group) => group !== '')
  return [...groups, '0', '0', '0'].slice(0, 3).join(':')
}
