import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  REPOSITORY_FIELD,
  TARGETS,
  acceptDelegated,
  acceptTargets,
  instant,
  listedMeta,
  roleName,
  version,
} from '../../../tuf/index.ts'
import type {
  AfterSnapshot,
  AfterTargets,
  FileMeta,
  Limits,
  RoleName,
  Snapshot,
  Targets,
  Verified,
} from '../../../tuf/index.ts'
import { refreshed, snapshotted } from '../../support/refresh.ts'
import { DAY, NOW, Simulator } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'
import type { SigningKey } from '../../support/signing-key.ts'

const ALICE = signingKey()
const BOB = signingKey()
const CAROL = signingKey()
const TEAM = roleName('team')

const repository = new Simulator({ keys: { targets: [ALICE, BOB] }, thresholds: { targets: 2 } })
repository.delegate(TARGETS, TEAM, { signers: [BOB, CAROL], threshold: 2 })
repository.publishTargets({}, TEAM)
repository.release()
const TRUST: AfterSnapshot = snapshotted(repository)
const AFTER: AfterTargets = refreshed(repository)

type Case = {
  readonly body?: Partial<Targets>
  readonly signers?: readonly SigningKey[]
  readonly listed?: (bytes: Uint8Array) => Partial<FileMeta>
  readonly limits?: Partial<Limits>
  readonly refused?: string
}

const hashed = (bytes: Uint8Array) => new Map([['sha512', nativeSuite.hash('sha512', bytes)]])
const CASES: Record<string, Case> = {
  'what the snapshot lists': {},
  'what the snapshot lists by length and hash': {
    listed: (bytes) => ({ length: bytes.length, hashes: hashed(bytes) }),
  },
  'a file longer than listed': { listed: (bytes) => ({ length: bytes.length - 1 }), refused: 'TOO_LARGE' },
  'a file shorter than listed': { listed: (bytes) => ({ length: bytes.length + 1 }), refused: 'HASH_MISMATCH' },
  'a file of another hash': { listed: () => ({ hashes: hashed(new Uint8Array()) }), refused: 'HASH_MISMATCH' },
  'a file under a hash nobody knows': {
    listed: () => ({ hashes: new Map([['md5', '00']]) }),
    refused: 'NO_KNOWN_HASH',
  },
  'a file larger than the limit': { limits: { targets: 10 }, refused: 'TOO_LARGE' },
  'a file larger than the limit, though listed': {
    listed: (bytes) => ({ length: bytes.length }),
    limits: { targets: 10 },
    refused: 'TOO_LARGE',
  },
  'keys below the threshold': { signers: [BOB], refused: 'THRESHOLD' },
  'keys of nobody': { signers: [], refused: 'THRESHOLD' },
  'a version lower than listed': {
    body: { version: version(1) },
    listed: () => ({ version: version(2) }),
    refused: 'VERSION_MISMATCH',
  },
  'a version higher than listed': { body: { version: version(9) }, refused: 'VERSION_MISMATCH' },
  'a file that expired': { body: { expires: instant(NOW), expiresText: '2026-06-01T12:00:00Z' }, refused: 'EXPIRED' },
}

for (const role of [TARGETS, TEAM]) {
  const good = role === TARGETS ? [ALICE, BOB] : [BOB, CAROL]
  for (const [name, { body, signers = good, listed, limits, refused }] of Object.entries(CASES)) {
    await t.test(`of ${role}: ${refused ? 'refuses' : 'accepts'} ${name}`, async (t) => {
      const bytes = repository.seal({ ...repository.targetsOf(role), ...body }, signers)
      const trust = { ...listing(role, listed?.(bytes) ?? {}), limits: { ...DEFAULT_LIMITS, ...limits } }
      const accept = () =>
        role === TARGETS
          ? acceptTargets(trust, bytes).targets
          : acceptDelegated({ ...trust, targets: AFTER.targets }, role, AFTER.targets, bytes)
      if (refused === undefined) t.ok(accept())
      else t.throws(accept, { name: 'TrustError', code: refused })
    })
  }
}

await t.test('a role that the snapshot does not list is refused', async (t) => {
  const trust = withMeta(new Map())
  t.throws(() => acceptTargets(trust, repository.newest(TARGETS)), { code: 'ROLE_NOT_LISTED' })
  t.throws(() => listedMeta(trust, TEAM), { code: 'ROLE_NOT_LISTED' })
})

await t.test('a role that the delegator does not name is refused, though the snapshot lists it', async (t) => {
  const team = acceptDelegated(AFTER, TEAM, AFTER.targets, repository.newest(TEAM))
  t.throws(() => acceptDelegated(AFTER, TEAM, team, repository.newest(TEAM)), { code: 'ROLE_NOT_LISTED' })
})

await t.test('a role that two roles delegate to is judged by the keys of the one it was reached through', async (t) => {
  const diamond = new Simulator()
  const [left, right, shared] = [roleName('left'), roleName('right'), roleName('shared')]
  for (const parent of [left, right]) {
    diamond.delegate(TARGETS, parent)
    diamond.publishTargets({}, parent)
  }
  diamond.delegate(left, shared, { signers: [CAROL] })
  diamond.delegate(right, shared, { signers: [BOB] })
  diamond.publishTargets({}, shared)
  diamond.release()
  const trust = refreshed(diamond)
  const byLeft = acceptDelegated(trust, left, trust.targets, diamond.newest(left))
  const byRight = acceptDelegated(trust, right, trust.targets, diamond.newest(right))
  t.ok(acceptDelegated(trust, shared, byLeft, diamond.newest(shared)))
  t.throws(() => acceptDelegated(trust, shared, byRight, diamond.newest(shared)), { code: 'THRESHOLD' })
})

await t.test('a delegated role expires by itself', async (t) => {
  const later = { ...AFTER, now: instant(NOW + 91 * DAY) }
  t.throws(() => acceptDelegated(later, TEAM, AFTER.targets, repository.newest(TEAM)), { code: 'EXPIRED' })
})

await t.test('where no version is listed, as in another dialect, the hash decides', async (t) => {
  const bytes = repository.newest(TARGETS)
  const trust = withMeta(new Map([[TARGETS, { hashes: hashed(bytes), unknown: new Map() }]]))
  t.ok(acceptTargets(trust, bytes))
  t.throws(() => acceptTargets(trust, repository.newest(TEAM)), { code: 'HASH_MISMATCH' })
})

function listing(role: RoleName, listed: Partial<FileMeta>): AfterSnapshot {
  return withMeta(new Map([...TRUST.snapshot.meta, [role, { ...listedMeta(TRUST, role), ...listed }]]))
}

/** A trusted snapshot that lists just this. */
function withMeta(meta: Snapshot['meta']): AfterSnapshot {
  const trusted: Snapshot = TRUST.snapshot
  const snapshot: Snapshot = { ...trusted, meta }
  return { ...TRUST, snapshot: snapshot as Verified<Snapshot> }
}

await t.test('a file that names a repository is for that one', async (t) => {
  const naming = (name: string) => new Map([[REPOSITORY_FIELD, name]])
  const VERDICTS: readonly (readonly [string | undefined, string | undefined, 'refused' | 'accepted'])[] = [
    ['a/b', 'a/b', 'accepted'],
    ['a/b', 'a/c', 'refused'],
    ['a/b', undefined, 'accepted'],
    [undefined, 'a/c', 'accepted'],
  ]
  for (const [root, named, verdict] of VERDICTS) {
    const simulator = new Simulator(root === undefined ? {} : { unknown: naming(root) })
    if (named !== undefined) simulator.publishTargets({}, TARGETS, (body) => ({ ...body, unknown: naming(named) }))
    simulator.release()
    const accept = () => refreshed(simulator)
    if (verdict === 'refused') t.throws(accept, { code: 'OTHER_REPOSITORY', detail: { repository: root, named } })
    else t.doesNotThrow(accept)
  }
})
