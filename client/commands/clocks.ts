/** What was changed since some moment was dated by the server's clock, and `6h` ago is reckoned by the one of this machine. */
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { ServerApi } from '../server-api.ts'
import { CommandError } from './errors.ts'

/** A request may take its time, and the header has whole seconds. */
const MOST_APART_MS = 5 * 60_000

/** Throws CLOCKS_DIFFER, with the moment that is meant by the clock that is behind: more is looked at then, not less. */
export async function refuseOtherClock({ clock, terminal }: Context, api: ServerApi, ago: number): Promise<void> {
  const before = clock()
  const theirs = await api.clock()
  const after = clock()
  if (theirs === undefined) {
    terminal.warn(`${api.server} does not say what time it has; if its clock differs, name the moment: --since TIME`)
    return
  }
  if (theirs >= before - MOST_APART_MS && theirs <= after + MOST_APART_MS) return
  const since = Math.min(theirs, before) - ago
  throw new CommandError('CLOCKS_DIFFER', {
    server: api.server,
    theirs: new Date(theirs).toISOString(),
    ours: new Date(after).toISOString(),
    since: new Date(since).toISOString(),
  })
}

/** The same of every server of these repositories. One that cannot be asked is told of when its repositories have their turn. */
export async function refuseOtherClocks(context: Context, repositories: readonly string[], ago: number): Promise<void> {
  const asked = new Set<string>()
  for (const repository of repositories) {
    try {
      const api = await context.api(repository)
      if (asked.has(api.server)) continue
      asked.add(api.server)
      await refuseOtherClock(context, api, ago)
    } catch (error) {
      if (failureOf(error).code === 'CLOCKS_DIFFER') throw error
    }
  }
}
