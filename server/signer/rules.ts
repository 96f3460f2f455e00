/**
 * What a signer asks of the next snapshot or timestamp before it signs it: pure, over what it remembers.
 *
 * Whoever asks may be a thief who owns the web server. A version is signed once. It goes up no faster than honest
 * publishing does, or a thief could use up all there are. Nothing lives longer than the signer's own clock and settings
 * allow. And what was published stays listed, at no lower version, as clients ask of two files in a row (5.4.3, 5.5.5).
 */
import type { OnlineRole } from '../../keys/online.ts'
import type { Snapshot, Timestamp } from '../../tuf/index.ts'
import { Refusal } from './refusal.ts'

/** Of a role of a repository, whichever of its keys signed. */
export type Mark = {
  /** The highest version that was signed, and what. */
  readonly version: number
  readonly sha256: string
  /** How many versions up it may go from there, and when that was so. */
  readonly credit: number
  readonly creditAt: number
}

/** Name to version, of what a file lists: roles in a snapshot, the snapshot in a timestamp. Notary lists no versions. */
export type Listing = ReadonlyMap<string, number>

/**
 * Of one key. Clients forget with a key what it signed (5.3.11), so one that comes after it begins anew. One that was
 * replaced follows: whom a thief keeps from the root that replaced it still counts what it signs.
 */
export type Listings = {
  /** What was published, as far as we were told: under this key, or one that was made after it. */
  readonly floor: Listing
  /** What was signed last, be it published or lost on the way, and under which version. */
  readonly last: Listing
  readonly lastVersion: number
  /** The highest of what is listed that was signed here, by any key: the snapshot. To announce that is no leap. */
  readonly ours: Listing
}

export type Asked = {
  readonly role: OnlineRole['role']
  readonly body: Snapshot | Timestamp
  readonly sha256: string
  readonly now: number
}

export type Bounds = {
  /** Milliseconds. */
  readonly lifetime: number
  /** Versions at once, and in a second. */
  readonly burst: number
  readonly rate: number
}

/** A first version may be this high, for a repository may come from elsewhere; Notary's clients count to twice that. */
const MOST_AT_FIRST = 2 ** 30
/** Two clocks never agree. */
const CLOCKS_APART_MS = 60_000

/** The mark that must be on the disk before the signature leaves. Throws Refusal. */
export function acceptNext(mark: Mark | undefined, listings: Listings, asked: Asked, bounds: Bounds): Mark {
  const { role, body, sha256, now } = asked
  refuseExpiry(asked, bounds)
  const isAgain = body.version === mark?.version && sha256 === mark.sha256
  if (isAgain && listings.lastVersion === mark.version) return mark // our answer was lost
  // The same for another key of the role is judged by what that one signed: a new key was bound by nothing.
  if (!isAgain && mark !== undefined && body.version <= mark.version) {
    throw new Refusal('VERSION_SPENT', { role, last: mark.version, got: body.version })
  }
  refuseLess(listings.floor, asked)
  const credit = paid(creditNow(mark, now, bounds), stepsOf(mark, listings, asked))
  return { version: body.version, sha256, credit, creditAt: now }
}

export function listingOf(body: Snapshot | Timestamp): Listing {
  const files = body.type === 'timestamp' ? [['snapshot', body.snapshot] as const] : [...body.meta]
  return new Map(files.flatMap(([name, { version }]) => (version === undefined ? [] : [[String(name), version]])))
}

function refuseExpiry({ role, body: { expires }, now }: Asked, { lifetime }: Bounds): void {
  if (now >= expires) throw new Refusal('EXPIRED_ALREADY', { role, expires: iso(expires), now: iso(now) })
  const latest = now + lifetime + CLOCKS_APART_MS
  if (expires > latest) throw new Refusal('EXPIRES_TOO_LATE', { role, expires: iso(expires), latest: iso(latest) })
}

function refuseLess(floor: Listing, { role, body }: Asked): void {
  const listing = listingOf(body)
  for (const [listed, published] of floor) {
    const got = listing.get(listed)
    if (got === undefined) throw new Refusal('LISTING_DROPPED', { role, listed, published })
    if (got < published) throw new Refusal('LISTING_WENT_BACK', { role, listed, published, got })
  }
}

type Step = { readonly what: string; readonly from: number | undefined; readonly to: number }

function stepsOf(mark: Mark | undefined, { floor, last, ours }: Listings, { role, body }: Asked): readonly Step[] {
  const listed = [...listingOf(body)].map(([what, to]) => {
    const known = Math.max(floor.get(what) ?? 0, last.get(what) ?? 0)
    const from = to <= (ours.get(what) ?? 0) ? Math.max(known, to) : known
    return { what, from: known === 0 ? undefined : from, to }
  })
  return [{ what: role, from: mark?.version, to: body.version }, ...listed]
}

function creditNow(mark: Mark | undefined, now: number, { burst, rate }: Bounds): number {
  if (mark === undefined) return burst
  const elapsed = Math.max(0, now - mark.creditAt) / 1000
  return Math.min(burst, mark.credit + elapsed * rate)
}

/** What is left when the longest step is paid for. A first version costs nothing, and is bounded all the same. */
function paid(credit: number, steps: readonly Step[]): number {
  let longest = 0
  for (const { what, from, to } of steps) {
    const most = from === undefined ? MOST_AT_FIRST : from + Math.floor(credit)
    if (to > most) throw new Refusal('VERSION_TOO_FAR', { what, got: to, most })
    if (from !== undefined) longest = Math.max(longest, to - from)
  }
  return credit - longest
}

function iso(at: number): string {
  return new Date(at).toISOString()
}
