import { array, assert, integer, property, record } from 'fast-check'
import t from 'tap'
import { acceptNext, listingOf } from '../../../server/signer/rules.ts'
import type { Bounds, Listings, Mark } from '../../../server/signer/rules.ts'
import { instant, roleName, tufCodec, version } from '../../../tuf/index.ts'
import type { FileMeta, Snapshot, Timestamp } from '../../../tuf/index.ts'

const NOW = Date.parse('2026-11-24T12:00:00Z')
const HOUR = 3600 * 1000
const BOUNDS: Bounds = { lifetime: 24 * HOUR, burst: 100, rate: 10 }
const NONE: Listings = { floor: new Map(), last: new Map(), lastVersion: 0, ours: new Map() }
const MARK: Mark = { version: 7, sha256: 'seven', credit: 100, creditAt: NOW }

const meta = (at?: number): FileMeta => ({ ...(at === undefined ? {} : { version: version(at) }), unknown: new Map() })
const body = (at: number, expires: number) => ({
  version: version(at),
  expires: instant(expires),
  expiresText: tufCodec.date(expires),
  unknown: new Map(),
})
const snapshot = (at: number, roles: Readonly<Record<string, number>> = {}, expires = NOW + HOUR): Snapshot => ({
  type: 'snapshot',
  ...body(at, expires),
  meta: new Map(Object.entries(roles).map(([role, listed]) => [roleName(role), meta(listed)])),
})
const timestamp = (at: number, announced?: number): Timestamp => ({
  type: 'timestamp',
  ...body(at, NOW + HOUR),
  snapshot: meta(announced),
})

type Case = {
  readonly mark?: Mark
  readonly listings?: Partial<Listings>
  readonly body: Snapshot | Timestamp
  readonly sha256?: string
  readonly now?: number
  readonly refused?: string
}
const floor = (listed: Readonly<Record<string, number>>) => ({ floor: new Map(Object.entries(listed)) })
const CASES: Record<string, Case> = {
  'the first one': { body: snapshot(1, { targets: 1 }) },
  'a first one that goes on from elsewhere': { body: snapshot(2 ** 30) },
  'a first one from too far': { body: snapshot(2 ** 30 + 1), refused: 'VERSION_TOO_FAR' },
  'the next one': { mark: MARK, body: snapshot(8) },
  'one after a gap': { mark: MARK, body: snapshot(107) },
  'one after too large a gap': { mark: MARK, body: snapshot(108), refused: 'VERSION_TOO_FAR' },
  'one after a large gap, with time to make up for it': {
    mark: { ...MARK, credit: 0 },
    now: NOW + 5000,
    body: snapshot(57),
  },
  'one after a large gap, with too little time': {
    mark: { ...MARK, credit: 0 },
    now: NOW + 5000,
    body: snapshot(58),
    refused: 'VERSION_TOO_FAR',
  },
  'the next one, when nothing is left to spend': {
    mark: { ...MARK, credit: 0 },
    body: snapshot(8),
    refused: 'VERSION_TOO_FAR',
  },
  'the next one, by a clock that was set back': {
    mark: { ...MARK, credit: 3, creditAt: NOW + 99 * HOUR },
    body: snapshot(8),
  },
  'the very same again, whose answer was lost': { mark: MARK, body: snapshot(7), sha256: 'seven' },
  'the very same again, when nothing is left to spend': {
    mark: { ...MARK, credit: 0 },
    body: snapshot(7),
    sha256: 'seven',
  },
  'the very same by another key, which says nothing less than that one published': {
    mark: MARK,
    listings: { ...floor({ targets: 5 }), lastVersion: 6 },
    body: snapshot(7, { targets: 5 }),
    sha256: 'seven',
  },
  'the very same by another key, which published more': {
    mark: MARK,
    listings: { ...floor({ targets: 5 }), lastVersion: 6 },
    body: snapshot(7, { targets: 4 }),
    sha256: 'seven',
    refused: 'LISTING_WENT_BACK',
  },
  'the very same by another key, for which it is far up': {
    mark: MARK,
    listings: { ...floor({ targets: 5 }), lastVersion: 6 },
    body: snapshot(7, { targets: 106 }),
    sha256: 'seven',
    refused: 'VERSION_TOO_FAR',
  },
  'another one of the same version': { mark: MARK, body: snapshot(7), sha256: 'other', refused: 'VERSION_SPENT' },
  'an older one': { mark: MARK, body: snapshot(6), refused: 'VERSION_SPENT' },
  'one for as long as there is, with clocks a minute apart': {
    body: snapshot(1, {}, NOW + 24 * HOUR + 60_000),
  },
  'one for longer': { body: snapshot(1, {}, NOW + 24 * HOUR + 61_000), refused: 'EXPIRES_TOO_LATE' },
  'one that expires this very moment': { body: snapshot(1, {}, NOW), refused: 'EXPIRED_ALREADY' },
  'the same listing': { mark: MARK, listings: floor({ targets: 5 }), body: snapshot(8, { targets: 5 }) },
  'a listing with more in it': {
    mark: MARK,
    listings: floor({ targets: 5 }),
    body: snapshot(8, { targets: 6, team: 1 }),
  },
  'a listing without a role': {
    mark: MARK,
    listings: floor({ targets: 5, team: 1 }),
    body: snapshot(8, { targets: 5 }),
    refused: 'LISTING_DROPPED',
  },
  'a listing of an older file': {
    mark: MARK,
    listings: floor({ targets: 5 }),
    body: snapshot(8, { targets: 4 }),
    refused: 'LISTING_WENT_BACK',
  },
  'a listing below what was signed and never published': {
    mark: MARK,
    listings: { ...floor({ targets: 5 }), last: new Map([['targets', 6]]) },
    body: snapshot(8, { targets: 5 }),
  },
  'a listing that is far up': {
    mark: MARK,
    listings: floor({ targets: 5 }),
    body: snapshot(8, { targets: 106 }),
    refused: 'VERSION_TOO_FAR',
  },
  'a new role that is far up': { mark: MARK, body: snapshot(8, { team: 2 ** 31 }), refused: 'VERSION_TOO_FAR' },
  'a timestamp that announces the same snapshot': {
    mark: MARK,
    listings: floor({ snapshot: 3 }),
    body: timestamp(8, 3),
  },
  'a timestamp that announces an older one': {
    mark: MARK,
    listings: floor({ snapshot: 3 }),
    body: timestamp(8, 2),
    refused: 'LISTING_WENT_BACK',
  },
  'a timestamp that announces a snapshot far up which was signed here': {
    mark: MARK,
    listings: { ...floor({ snapshot: 3 }), ours: new Map([['snapshot', 5000]]) },
    body: timestamp(8, 5000),
  },
  'a timestamp that announces one beyond that': {
    mark: MARK,
    listings: { ...floor({ snapshot: 3 }), ours: new Map([['snapshot', 5000]]) },
    body: timestamp(8, 5001),
    refused: 'VERSION_TOO_FAR',
  },
  "Notary's, which announces no version": { mark: MARK, body: timestamp(8) },
}

for (const [name, { mark, listings = {}, body: asked, sha256 = 'x', now = NOW, refused }] of Object.entries(CASES)) {
  await t.test(`${refused ? 'refuses' : 'accepts'} ${name}`, async (t) => {
    const accept = () =>
      acceptNext(mark, { ...NONE, ...listings }, { role: asked.type, body: asked, sha256, now }, BOUNDS)
    if (refused !== undefined) t.throws(accept, { name: 'Refusal', code: refused })
    else t.match(accept(), { version: asked.version, sha256 })
  })
}

await t.test('whatever is asked, versions go up, once each, and no faster than the allowance', async (t) => {
  const step = record({ up: integer({ min: -3, max: 300 }), wait: integer({ min: 0, max: 5000 }) })
  const allowance = property(array(step, { maxLength: 60 }), (steps) => {
    let [mark, now]: [Mark | undefined, number] = [undefined, NOW]
    const signed = new Map<number, string>()
    for (const [i, { up, wait }] of steps.entries()) {
      now += wait
      const at: number = Math.max(1, (mark?.version ?? 1) + up)
      const asked = { role: 'snapshot' as const, body: snapshot(at, {}, now + HOUR), sha256: String(i), now }
      try {
        mark = acceptNext(mark, NONE, asked, BOUNDS)
      } catch {
        continue
      }
      if (signed.has(at) || [...signed.keys()].some((before) => before > at)) return false
      signed.set(at, String(i))
    }
    const [first = 1] = signed.keys()
    return (mark?.version ?? 1) - first <= BOUNDS.burst + ((now - NOW) / 1000) * BOUNDS.rate
  })
  t.doesNotThrow(() => assert(allowance))
})

await t.test('a listing is what has versions', async (t) => {
  t.same(
    listingOf(snapshot(1, { targets: 3, team: 2 })),
    new Map([
      ['targets', 3],
      ['team', 2],
    ]),
  )
  t.same(listingOf(timestamp(1, 9)), new Map([['snapshot', 9]]))
  t.same(listingOf(timestamp(1)), new Map())
})
