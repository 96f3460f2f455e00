import t from 'tap'
import { inOrder, roleName, succinctBins, withDelegation, withoutBins, withoutDelegation } from '../../../tuf/index.ts'
import type { Delegations } from '../../../tuf/index.ts'
import { keySet } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'
import type { SigningKey } from '../../support/signing-key.ts'

const ALICE = signingKey()
const BOB = signingKey()
const [A, B, C] = [roleName('a'), roleName('b'), roleName('c')]

const adding = (name: typeof A, keys: readonly SigningKey[], threshold = 1) =>
  ({ ...keySet(keys, threshold), name, scope: { kind: 'paths', paths: ['*'] }, terminating: false }) as const
const names = ({ roles }: Delegations) => roles.map(({ name }) => name)
const keys = (delegations: Delegations) => [...delegations.keys.keys()]

const TWO = withDelegation(withDelegation(undefined, adding(A, [ALICE])), adding(B, [BOB]))

await t.test('a new delegation comes last, or before the one that is named', async (t) => {
  t.same(names(withDelegation(TWO, adding(C, [ALICE]))), [A, B, C])
  t.same(names(withDelegation(TWO, adding(C, [ALICE]), B)), [A, C, B])
  t.same(names(withDelegation(TWO, adding(C, [ALICE]), roleName('nobody'))), [A, B, C])
})

await t.test('a delegation that was there keeps its place, and its old key leaves', async (t) => {
  const changed = withDelegation(TWO, adding(A, [BOB]), B)
  t.same(names(changed), [A, B])
  t.same(keys(changed), [BOB.id])
})

await t.test(
  'roles come in the order in which they are named, each with those in front of it that are not',
  async (t) => {
    const [D, E] = [roleName('d'), roleName('e')]
    const five = [C, D, E].reduce((list, name) => withDelegation(list, adding(name, [ALICE])), TWO)
    const CASES: Record<string, { order: string[]; comes: string[] }> = {
      'all of them': { order: ['e', 'd', 'c', 'b', 'a'], comes: ['e', 'd', 'c', 'b', 'a'] },
      'one before the other': { order: ['d', 'a'], comes: ['b', 'c', 'd', 'a', 'e'] },
      'none of them': { order: [], comes: ['a', 'b', 'c', 'd', 'e'] },
      'some that are not there': { order: ['gone', 'b', '__proto__', 'a'], comes: ['b', 'a', 'c', 'd', 'e'] },
    }
    for (const [name, { order, comes }] of Object.entries(CASES)) t.same(names(inOrder(five, order)), comes, name)
    t.equal(inOrder(five, ['e']).keys, five.keys)
  },
)

await t.test('what is removed takes the keys along that nobody else uses', async (t) => {
  t.same(names(withoutDelegation(TWO, A)), [B])
  t.same(keys(withoutDelegation(TWO, A)), [BOB.id])
  t.same(keys(withoutDelegation(withDelegation(TWO, adding(C, [ALICE])), A)).length, 2)
  t.same(withoutDelegation(TWO, roleName('nobody')), TWO)
})

await t.test('nothing that went in is changed', async (t) => {
  withDelegation(TWO, adding(A, [BOB]))
  withoutDelegation(TWO, A)
  t.same(names(TWO), [A, B])
  t.same(keys(TWO), [ALICE.id, BOB.id])
})

await t.test('members that are not known stay', async (t) => {
  const unknown = new Map([['x-note', 1]])
  t.equal(withDelegation({ ...TWO, unknown }, adding(C, [ALICE])).unknown, unknown)
})

await t.test('members of a role that are not known stay when its keys are replaced', async (t) => {
  const unknown = new Map([['x-note', 1]])
  const noted = { ...TWO, roles: TWO.roles.map((role) => ({ ...role, unknown })) }
  t.same(
    withDelegation(noted, adding(A, [BOB])).roles.map((role) => role.unknown),
    [unknown, unknown],
  )
})

await t.test('no role comes beside hash bins, and they lose no key', async (t) => {
  const bins = succinctBins(keySet([ALICE], 1), 4, 'bin')
  t.throws(() => withDelegation(bins, adding(A, [BOB])), { code: 'MALFORMED' })
  t.same(withoutDelegation(bins, A), bins)
})

await t.test('a threshold that the keys could never meet is refused', async (t) => {
  t.throws(() => withDelegation(TWO, adding(C, [ALICE], 2)), { code: 'MALFORMED' })
  t.throws(() => withDelegation(TWO, adding(C, [ALICE, ALICE], 2)), { code: 'MALFORMED' })
  t.throws(() => withDelegation(TWO, adding(C, [ALICE], 0)), { code: 'MALFORMED' })
  t.throws(() => succinctBins(keySet([], 1), 4, 'bin'), { code: 'MALFORMED' })
})

await t.test('bins leave with their keys', async (t) => {
  const left = withoutBins(succinctBins(keySet([ALICE], 1), 4, 'bin'))
  t.same([left.succinct, left.roles, keys(left)], [undefined, [], []])
  t.same(withoutBins(TWO), TWO)
})

await t.test('bins share one set of keys', async (t) => {
  const bins = succinctBins(keySet([ALICE, BOB], 2), 4, 'bin')
  t.same(keys(bins), [ALICE.id, BOB.id])
  t.match(bins.succinct, { bitLength: 4, namePrefix: 'bin', threshold: 2, keyids: [ALICE.id, BOB.id] })
})
