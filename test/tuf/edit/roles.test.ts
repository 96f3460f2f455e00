import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  REPOSITORY_FIELD,
  ROOT,
  TARGETS,
  TIMESTAMP,
  firstRoot,
  firstTargets,
  keySetOf,
  nextRoot,
  nextSnapshot,
  nextTargets,
  nextTimestamp,
  repositoryOf,
  roleName,
  threshold,
  tufCodec,
  version,
  withDelegation,
} from '../../../tuf/index.ts'
import type { Metadata } from '../../../tuf/index.ts'
import { NOW, keySet, sealed, targetOf } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

const CONTEXT = { codec: tufCodec, expires: NOW + 999 }
const ALICE = signingKey()
const BOB = signingKey()
const CAROL = signingKey()
const TEAM = roleName('team')
const NOTE = new Map([['x-note', 'kept']])

const KEYS = { root: keySet([ALICE]), timestamp: keySet([BOB]), snapshot: keySet([BOB]), targets: keySet([ALICE]) }

await t.test('root', async (t) => {
  const first = firstRoot(KEYS, CONTEXT, new Map([[REPOSITORY_FIELD, 'example.com/app']]))
  await t.test('begins at 1, consistent, with its four roles and the keys they use', async (t) => {
    t.equal(first.version, 1)
    t.equal(first.consistentSnapshot, true)
    t.same([...first.roles.keys()], ['root', 'timestamp', 'snapshot', 'targets'])
    t.same([...first.keys.keys()], [ALICE.id, BOB.id])
    t.equal(repositoryOf(first), 'example.com/app')
    t.equal(first.expiresText, '2026-06-01T12:00:00Z')
    t.equal(first.expires, NOW)
  })
  await t.test('goes on with other keys, the old ones leaving when nobody uses them', async (t) => {
    const next = nextRoot(first, { timestamp: keySet([CAROL]), root: keySet([ALICE, BOB], 2) }, CONTEXT)
    t.equal(next.version, 2)
    t.same(keySetOf(next, TIMESTAMP), keySet([CAROL]))
    t.same(keySetOf(next, ROOT), keySet([ALICE, BOB], 2))
    t.same(keySetOf(next, TARGETS), KEYS.targets)
    const last = nextRoot(next, { root: keySet([ALICE]), snapshot: keySet([CAROL]) }, CONTEXT)
    t.same([...last.keys.keys()].sort(), [ALICE.id, CAROL.id].sort())
    t.same([...first.keys.keys()], [ALICE.id, BOB.id], 'and the root before is as it was')
  })
  await t.test('keeps what it does not know, other roles and their keys included', async (t) => {
    const mirrors = { keyids: [CAROL.id], threshold: threshold(1), unknown: NOTE }
    const keys = new Map([...first.keys, [CAROL.id, CAROL.public]])
    const strange = {
      ...first,
      keys,
      roles: new Map([...first.roles, [roleName('mirrors'), mirrors]]),
      specVersion: '1.0',
    }
    const next = nextRoot(strange, { targets: keySet([BOB]) }, CONTEXT)
    t.same(next.roles.get(roleName('mirrors')), mirrors)
    t.ok(next.keys.has(CAROL.id))
    t.same(next.unknown, first.unknown)
    t.equal(next.specVersion, '1.0')
  })
  await t.test('is refused with a threshold that its keys could never meet', async (t) => {
    t.throws(() => firstRoot({ ...KEYS, targets: keySet([ALICE], 2) }, CONTEXT), { code: 'MALFORMED' })
    t.throws(() => nextRoot(first, { targets: keySet([], 1) }, CONTEXT), { code: 'MALFORMED' })
  })
  await t.test('has no keys for a role it does not name', async (t) => t.same(keySetOf(first, TEAM).keys, []))
})

await t.test('targets', async (t) => {
  const first = firstTargets({ set: new Map([['a', targetOf('1')]]) }, CONTEXT)
  await t.test('change by what is set and removed', async (t) => {
    const next = nextTargets(
      { ...first, unknown: NOTE },
      { set: new Map([['b', targetOf('2')]]), remove: new Set(['a', 'x']) },
      CONTEXT,
    )
    t.equal(next.version, 2)
    t.same([...next.targets.keys()], ['b'])
    t.equal(next.unknown, NOTE)
    t.same([...first.targets.keys()], ['a'])
  })
  await t.test('what is both removed and set is set', async (t) => {
    const both = { set: new Map([['a', targetOf('2')]]), remove: new Set(['a']) }
    t.same(nextTargets(first, both, CONTEXT).targets.get('a'), targetOf('2'))
  })
  await t.test('keep their delegations, change them, or lose them', async (t) => {
    const scope = { kind: 'paths', paths: ['*'] } as const
    const delegations = withDelegation(undefined, { ...keySet([BOB]), name: TEAM, scope, terminating: false })
    const delegating = nextTargets(first, { delegations }, CONTEXT)
    t.equal(delegating.delegations, delegations)
    t.equal(nextTargets(delegating, {}, CONTEXT).delegations, delegations)
    t.notOk('delegations' in nextTargets(delegating, { delegations: null }, CONTEXT))
  })
})

await t.test('a snapshot never loses a role, and lists versions alone', async (t) => {
  const first = nextSnapshot(
    undefined,
    new Map([
      [TARGETS, version(1)],
      [TEAM, version(4)],
    ]),
    CONTEXT,
  )
  t.equal(first.version, 1)
  const next = nextSnapshot({ ...first, unknown: NOTE }, new Map([[TARGETS, version(2)]]), CONTEXT)
  t.equal(next.version, 2)
  t.same(
    [...next.meta],
    [
      [TARGETS, { version: 2, unknown: new Map() }],
      [TEAM, { version: 4, unknown: new Map() }],
    ],
  )
  t.equal(next.unknown, NOTE)
})

await t.test('a timestamp says what the snapshot file is', async (t) => {
  const listed = { version: version(3), length: 10, hashes: new Map([['sha256', 'ab']]) }
  const first = nextTimestamp(undefined, listed, CONTEXT)
  t.same(first.snapshot, { ...listed, unknown: new Map() })
  const next = nextTimestamp({ ...first, unknown: NOTE }, listed, CONTEXT)
  t.equal(next.version, 2)
  t.equal(next.unknown, NOTE)
})

await t.test('everything that is edited reads back as it was', async (t) => {
  const listed = { version: version(3), length: 10, hashes: new Map([['sha256', 'ab']]) }
  const root = firstRoot(KEYS, CONTEXT)
  const bodies: readonly Metadata[] = [
    { ...root, specVersion: '1.0.34' },
    { ...firstTargets({ set: new Map([['a', targetOf('1', { mediaType: 'x' })]]) }, CONTEXT), specVersion: '1.0.34' },
    { ...nextSnapshot(undefined, new Map([[TARGETS, version(1)]]), CONTEXT), specVersion: '1.0.34' },
    { ...nextTimestamp(undefined, listed, CONTEXT), specVersion: '1.0.34' },
  ]
  for (const body of bodies) {
    const file = tufCodec.decode(body.type, sealed(body, [ALICE]), { suite: nativeSuite, limits: DEFAULT_LIMITS })
    t.same(file.body, body)
    t.same(file.payload, tufCodec.encode(body))
  }
})

await t.test('a date that cannot be written is refused', async (t) => {
  t.throws(() => firstTargets({}, { codec: tufCodec, expires: Number.NaN }), { code: 'MALFORMED' })
  t.throws(() => firstTargets({}, { codec: tufCodec, expires: Date.UTC(20_000, 0) }), { code: 'MALFORMED' })
})
