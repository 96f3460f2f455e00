import type { Metrics } from '../metrics.ts'
import type { Sightings } from '../serve/sightings.ts'
import type { Report } from './messages.ts'

/** Keeps what a reader served until the main process, which has the figures and records of all, takes it over. */
export type Tally = Pick<Metrics, 'request' | 'conflict'> &
  Pick<Sightings, 'note'> & {
    /** Undefined where nothing was served since the last time. */
    readonly take: () => Report | undefined
  }

/** Between two reports: whoever comes from more places than that is not noted. */
const MOST_NOTED = 10_000

export function makeTally(): Tally {
  const counts = new Map<string, { readonly route: string; readonly status: number; times: number }>()
  const seen = new Map<string, Report['seen'][number]>()
  return {
    request(route, status, times = 1) {
      const name = `${status} ${route}`
      const known = counts.get(name)
      if (known === undefined) counts.set(name, { route, status, times })
      else known.times += times
    },
    conflict() {
      // Nothing is published here.
    },
    note(repository, who, version) {
      if (seen.size >= MOST_NOTED) return
      const name = 'token' in who ? who.token : who.address
      seen.set(`${name} ${repository}`, [repository, who, version])
    },
    take() {
      if (counts.size === 0) return undefined
      const taken = [...counts.values()].map(({ route, status, times }) => [route, status, times] as const)
      const report = { counts: taken, seen: [...seen.values()] }
      counts.clear()
      seen.clear()
      return report
    },
  }
}
