/**
 * What a stolen key could have done: to which tags, to which consumers, and until when at most.
 *
 * Whoever reaches the server has moved on with the next refresh. The dates are for a consumer whom a thief keeps from it,
 * and who goes on believing what he shows for as long as that can live.
 */
import { roleName, TARGETS } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { HttpError } from '../http-errors.ts'
import type { ServerApi, Sighting } from '../server-api.ts'
import { placeOf } from './delegating.ts'
import { isPublishError } from './errors.ts'
import { allRoles } from './standing.ts'
import type { Standing } from './standing.ts'

export type Impact = {
  /** Which tags the key may sign, as patterns; none for the keys of the server, which sign no tag. */
  readonly scope: readonly string[]
  /** How many tags there were, of those. */
  readonly tags: number
  /** Since when, as somebody said; and when it was over for whoever reaches the server (milliseconds). */
  readonly since: number | undefined
  readonly until: number
  /** From this timestamp on nobody believes the stolen key. */
  readonly safeFrom: number
  /** The last moment at which any honest client believes it, and what ends it; undefined where nothing but a new pin does. */
  readonly overBy: { readonly at: number; readonly because: string } | undefined
  /** For root: how many of its keys were stolen, of how many that must sign. Fewer could sign nothing. */
  readonly root: { readonly stolen: number; readonly threshold: number } | undefined
  /** The server's record of who was served what last; undefined where it keeps none, or does not show it. */
  readonly consumers:
    | { readonly behind: readonly Sighting[]; readonly moved: number; readonly before: number }
    | undefined
}

export type ImpactQuestion = {
  readonly roles: readonly RoleName[]
  /** What was in force before, and is now. */
  readonly before: Standing
  readonly after: Standing
  /** Asked for before anybody here looked at what is in force now: they come from some network as well. */
  readonly seen: readonly Sighting[] | undefined
  readonly since: number | undefined
  readonly root: Impact['root']
  readonly now: number
}

export async function impactOf(question: ImpactQuestion): Promise<Impact> {
  const { before, after, seen, since, now, roles, root } = question
  const safeFrom = after.timestamp.version
  const always = { since, root, until: now, safeFrom, consumers: seen && sorted(seen) }
  if (root !== undefined && isTooFew(root)) {
    return { ...always, scope: [], tags: 0, overBy: { at: now, because: 'it could sign nothing' } }
  }
  return { ...always, ...(await reachOf(question)), overBy: overBy(before, roles) }

  /** Whoever was not there since the theft has seen nothing of it yet, and sees the new keys first. */
  function sorted(all: readonly Sighting[]) {
    const behind = all.filter(({ version, at }) => version < safeFrom && (since === undefined || at >= since))
    const moved = all.filter(({ version }) => version >= safeFrom).length
    return { behind, moved, before: all.length - moved - behind.length }
  }
}

export function isTooFew({ stolen, threshold }: NonNullable<Impact['root']>): boolean {
  return stolen < threshold
}

async function reachOf({ before, roles }: ImpactQuestion): Promise<Pick<Impact, 'scope' | 'tags'>> {
  const all = await allRoles(before)
  const [role] = roles
  if (role === undefined || ONLINE.has(role)) return { scope: [], tags: 0 }
  const every = all.reduce((sum, { file }) => sum + (file?.targets.size ?? 0), 0)
  if (role === TARGETS || role === roleName('root')) return { scope: ['*'], tags: every }
  const { entry } = placeOf(all, role)
  const scope = entry === undefined ? [] : entry.scope.kind === 'paths' ? entry.scope.paths : entry.scope.prefixes
  return { scope, tags: all.find(({ name }) => name === role)?.file?.targets.size ?? 0 }
}

const ONLINE: ReadonlySet<string> = new Set(['timestamp', 'snapshot'])

/** What a thief of these keys cannot make again: its end is his end, for whomever he keeps from the server. */
function overBy({ root, timestamp, snapshot, targets }: Standing, roles: readonly RoleName[]): Impact['overBy'] {
  const names = new Set<string>(roles)
  if (names.has('root')) return undefined
  const ends = [
    ...(names.has('timestamp')
      ? []
      : [{ at: timestamp.expires, because: 'the last timestamp under the old keys expires' }]),
    ...(names.has('snapshot')
      ? []
      : [{ at: snapshot.expires, because: 'the last snapshot under the old keys expires' }]),
    ...(names.has('targets') ? [] : [{ at: targets.expires, because: 'the targets under the old keys expire' }]),
    { at: root.expires, because: 'the root with the old keys expires' },
  ]
  return ends.toSorted((a, b) => a.at - b.at)[0]
}

/** A server of another kind, or in another mood, has none: what was published a moment ago does not hang on it. */
export async function sightingsOf(server: Pick<ServerApi, 'sightings'>): Promise<readonly Sighting[] | undefined> {
  try {
    return await server.sightings()
  } catch (error) {
    if (isPublishError(error) || error instanceof HttpError) return undefined
    throw error
  }
}
