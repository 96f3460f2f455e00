import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { DEFAULT_LIMITS, TARGETS, acceptSnapshot, instant, roleName, version } from '../../../tuf/index.ts'
import type { AfterTimestamp, FileMeta, Limits, RoleName, Snapshot, Timestamp, Verified } from '../../../tuf/index.ts'
import { snapshotted, timestamped } from '../../support/refresh.ts'
import { DAY, NOW, Simulator } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

const ALICE = signingKey()
const BOB = signingKey()
const TEAM = roleName('team')

const repository = new Simulator({ keys: { snapshot: [ALICE, BOB] }, thresholds: { snapshot: 2 } })
repository.delegate(TARGETS, TEAM)
repository.publishTargets({}, TEAM)
repository.publishTargets({}, TEAM)
repository.release()
const TRUST: AfterTimestamp = timestamped(repository)
const SECOND = repository.snapshot
const PREVIOUS: Verified<Snapshot> = snapshotted(repository).snapshot

type Case = {
  readonly snapshot?: Partial<Snapshot>
  readonly signers?: readonly (typeof ALICE)[]
  readonly announced?: (bytes: Uint8Array) => Partial<FileMeta>
  readonly limits?: Partial<Limits>
  readonly first?: true
  readonly refused?: string
}

const hashed = (name: 'sha256' | 'sha512') => (bytes: Uint8Array) => ({
  hashes: new Map([[name, nativeSuite.hash(name, bytes)]]),
})
const listed = (targets: number, team: number | undefined): { meta: Snapshot['meta'] } => {
  const meta = new Map<RoleName, FileMeta>([[TARGETS, { version: version(targets), unknown: new Map() }]])
  if (team !== undefined) meta.set(TEAM, { version: version(team), unknown: new Map() })
  return { meta }
}

const CASES: Record<string, Case> = {
  'what the timestamp announced': {},
  'what the timestamp announced by length': { announced: (bytes) => ({ length: bytes.length }) },
  'what the timestamp announced by sha256': { announced: hashed('sha256') },
  'what the timestamp announced by sha512': { announced: hashed('sha512') },
  'the first there is': { snapshot: listed(1, undefined), first: true },
  'newer versions': { snapshot: listed(3, 5) },
  'roles that were not listed before': {
    snapshot: { meta: new Map([...SECOND.meta, [roleName('new'), { version: version(1), unknown: new Map() }]]) },
  },
  'a shorter file': { announced: (bytes) => ({ length: bytes.length + 1 }), refused: 'HASH_MISMATCH' },
  'a longer file': { announced: (bytes) => ({ length: bytes.length - 1 }), refused: 'TOO_LARGE' },
  'a file of another sha256': {
    announced: () => ({ hashes: new Map([['sha256', '0'.repeat(64)]]) }),
    refused: 'HASH_MISMATCH',
  },
  'a file of the right sha256 and another sha512': {
    announced: (bytes) => ({ hashes: new Map([...hashed('sha256')(bytes).hashes, ['sha512', '0'.repeat(128)]]) }),
    refused: 'HASH_MISMATCH',
  },
  'a file under a hash that nobody knows': {
    announced: () => ({ hashes: new Map([['blake3', '00']]) }),
    refused: 'NO_KNOWN_HASH',
  },
  'a file under a known hash and an unknown one': {
    announced: (bytes) => ({ hashes: new Map([...hashed('sha256')(bytes).hashes, ['blake3', '00']]) }),
  },
  'one key of two': { signers: [ALICE], refused: 'THRESHOLD' },
  'a version that was not announced': { announced: () => ({ version: version(7) }), refused: 'VERSION_MISMATCH' },
  'an older version of targets': { snapshot: listed(1, 2), refused: 'ROLLBACK' },
  'an older version of a delegated role': { snapshot: listed(2, 1), refused: 'ROLLBACK' },
  'a role that disappeared': { snapshot: listed(2, undefined), refused: 'ROLE_DISAPPEARED' },
  'targets that disappeared': { snapshot: { meta: new Map() }, refused: 'ROLE_DISAPPEARED' },
  'a version below the one that was seen, though announced': {
    snapshot: { version: version(1) },
    announced: () => ({ version: version(1) }),
    refused: 'ROLLBACK',
  },
  'one that expired': { snapshot: { expires: instant(NOW), expiresText: '2026-06-01T12:00:00Z' }, refused: 'EXPIRED' },
  'a file larger than the limit': { limits: { snapshot: 10 }, refused: 'TOO_LARGE' },
  'a file larger than the limit, though its length was announced': {
    announced: (bytes) => ({ length: bytes.length }),
    limits: { snapshot: 10 },
    refused: 'TOO_LARGE',
  },
}

for (const [name, { snapshot, signers = [ALICE, BOB], announced, limits, first, refused }] of Object.entries(CASES)) {
  await t.test(`${refused ? 'refuses' : 'accepts'} ${name}`, async (t) => {
    const bytes = repository.seal({ ...SECOND, ...snapshot }, signers)
    const trust = announcing(announced?.(bytes) ?? {}, limits)
    const accept = () => acceptSnapshot(trust, bytes, first ? undefined : PREVIOUS)
    if (refused === undefined) t.equal(accept().snapshot.version, 2)
    else t.throws(accept, { name: 'TrustError', code: refused })
    t.notOk('snapshot' in trust)
  })
}

await t.test('something else is refused before anything is asked of it', async (t) => {
  t.throws(() => acceptSnapshot(announcing({}), repository.file('1.targets.json')), { code: 'MALFORMED' })
})

await t.test('an expired previous one still counts against disappearing roles', async (t) => {
  const later = { ...announcing({}), now: instant(NOW + 30 * DAY) }
  const { codec, expires } = repository.context(60)
  const fresh = { expires: instant(expires), expiresText: codec.date(expires) }
  const bytes = repository.seal({ ...SECOND, ...fresh, ...listed(2, undefined) }, [ALICE, BOB])
  t.throws(() => acceptSnapshot(later, bytes, PREVIOUS), { code: 'ROLE_DISAPPEARED' })
})

await t.test('where no version was announced, as in another dialect, the hash decides', async (t) => {
  const bytes = repository.seal(SECOND, [ALICE, BOB])
  const announced = { ...hashed('sha256')(bytes), unknown: new Map() }
  t.ok(acceptSnapshot(withSnapshot(announced), bytes))
})

function announcing(announced: Partial<FileMeta>, limits: Partial<Limits> = {}): AfterTimestamp {
  const { version: listedVersion } = TRUST.timestamp.snapshot
  const snapshot = { ...(listedVersion && { version: listedVersion }), unknown: new Map(), ...announced }
  return { ...withSnapshot(snapshot), limits: { ...DEFAULT_LIMITS, ...limits } }
}

/** A trusted timestamp that announces just this. */
function withSnapshot(snapshot: FileMeta): AfterTimestamp {
  const timestamp: Timestamp = TRUST.timestamp
  return { ...TRUST, timestamp: { ...timestamp, snapshot } as Verified<Timestamp> }
}
