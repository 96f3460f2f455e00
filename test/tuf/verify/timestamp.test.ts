import t from 'tap'
import { DEFAULT_LIMITS, acceptTimestamp, instant, version } from '../../../tuf/index.ts'
import type { AfterRoot, Timestamp, Verified } from '../../../tuf/index.ts'
import { walkedRoot } from '../../support/refresh.ts'
import { DAY, NOW, Simulator } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

const ALICE = signingKey()
const BOB = signingKey()
const MALLORY = signingKey()

const repository = new Simulator({ keys: { timestamp: [ALICE, BOB] }, thresholds: { timestamp: 2 } })
repository.release()
const TRUST: AfterRoot = walkedRoot(repository)
const SECOND = repository.timestamp
const PREVIOUS: Verified<Timestamp> = acceptTimestamp(TRUST, repository.file('timestamp.json')).timestamp

const sealed = (change: Partial<Timestamp>, signers = [ALICE, BOB]) =>
  repository.seal({ ...SECOND, ...change }, signers)
const listing = (snapshot: number) => ({ snapshot: { ...SECOND.snapshot, version: version(snapshot) } })
const expiring = (milliseconds: number) => ({
  expires: instant(milliseconds),
  expiresText: repository.context(0).codec.date(milliseconds),
})

type Case = {
  readonly bytes: Uint8Array
  readonly previous?: Verified<Timestamp>
  readonly refused?: string
  readonly keeps?: true
}

const CASES: Record<string, Case> = {
  'the first there is': { bytes: sealed({}) },
  'a newer one': { bytes: sealed({ version: version(3) }), previous: PREVIOUS },
  'a newer one for a newer snapshot': { bytes: sealed({ version: version(9), ...listing(9) }), previous: PREVIOUS },
  'the same file again': { bytes: sealed({}), previous: PREVIOUS, keeps: true },
  'another file of the same version, keeping the first': { bytes: sealed(listing(7)), previous: PREVIOUS, keeps: true },
  'one key of two': { bytes: sealed({}, [ALICE]), refused: 'THRESHOLD' },
  'keys of others': { bytes: sealed({}, [MALLORY]), refused: 'THRESHOLD' },
  'an older version': { bytes: sealed({ version: version(1) }), previous: PREVIOUS, refused: 'ROLLBACK' },
  'a newer version for an older snapshot': {
    bytes: sealed({ version: version(3), ...listing(1) }),
    previous: PREVIOUS,
    refused: 'ROLLBACK',
  },
  'one that expires this very moment': { bytes: sealed(expiring(NOW)), refused: 'EXPIRED' },
  'one that expired long ago': { bytes: sealed(expiring(NOW - 900 * DAY)), refused: 'EXPIRED' },
  'a newer one that expired': {
    bytes: sealed({ version: version(3), ...expiring(NOW - DAY) }),
    previous: PREVIOUS,
    refused: 'EXPIRED',
  },
  'something else': { bytes: repository.file('1.root.json'), refused: 'MALFORMED' },
  'a file larger than the limit': { bytes: new Uint8Array(DEFAULT_LIMITS.timestamp + 1), refused: 'TOO_LARGE' },
}

for (const [name, { bytes, previous, refused, keeps }] of Object.entries(CASES)) {
  await t.test(`${refused ? 'refuses' : 'accepts'} ${name}`, async (t) => {
    const accept = () => acceptTimestamp(TRUST, bytes, previous)
    if (refused === undefined) t.equal(accept().timestamp === previous, keeps ?? false)
    else t.throws(accept, { name: 'TrustError', code: refused })
  })
}

await t.test('one that expires in the next second is still good', async (t) => {
  t.ok(acceptTimestamp(TRUST, sealed(expiring(NOW + 1000))))
})

await t.test('the previous one, kept because nothing newer came, must not have expired', async (t) => {
  const later = { ...TRUST, now: instant(NOW + 2 * DAY) }
  t.throws(() => acceptTimestamp(later, sealed({}), PREVIOUS), { code: 'EXPIRED' })
})

await t.test('an expired previous one still says what was seen', async (t) => {
  const later = { ...TRUST, now: instant(NOW + 2 * DAY) }
  const fresh = expiring(NOW + 3 * DAY)
  t.throws(() => acceptTimestamp(later, sealed({ ...fresh, version: version(1) }), PREVIOUS), { code: 'ROLLBACK' })
  t.equal(acceptTimestamp(later, sealed({ ...fresh, version: version(3) }), PREVIOUS).timestamp.version, 3)
})

await t.test('after a refusal the trust is what it was, and a good file follows', async (t) => {
  t.throws(() => acceptTimestamp(TRUST, sealed({ version: version(1) }), PREVIOUS))
  t.notOk('timestamp' in TRUST)
  t.equal(acceptTimestamp(TRUST, sealed({ version: version(3) }), PREVIOUS).timestamp.version, 3)
})
