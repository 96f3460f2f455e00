import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import {
  binFor,
  binNames,
  delegatedAuthority,
  delegatesFor,
  firstTargets,
  inScope,
  listedRoles,
  roleName,
  succinctBins,
  withDelegation,
} from '../../../tuf/index.ts'
import type { Delegations, Scope, SuccinctRoles, Targets } from '../../../tuf/index.ts'
import { Simulator, keySet } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

const SET = keySet([signingKey()])
const CONTEXT = new Simulator().context(1)

const delegating = (delegations?: Delegations): Targets => firstTargets(delegations ? { delegations } : {}, CONTEXT)
const bins = (bitLength: number, prefix = 'bins'): SuccinctRoles => ({ ...SET_ROLE, bitLength, namePrefix: prefix })
const SET_ROLE = { keyids: [], threshold: SET.threshold as SuccinctRoles['threshold'], unknown: new Map() }

await t.test('roles are asked in the order they are listed, whatever their names', async (t) => {
  const names = ['b', '10', '2', '__proto__', 'a'] as const
  const delegations = names.reduce<Delegations | undefined>((all, name) => also(all, name, ['*']), undefined)
  t.same(rolesFor(delegating(delegations), 'v1'), names)
  t.same(
    listedRoles(delegating(delegations)).map(({ name }) => name),
    names,
  )
})

await t.test('only roles that cover the path are asked, and none after a terminating one', async (t) => {
  let delegations = also(undefined, 'other', ['x*'])
  delegations = also(delegations, 'first', ['x*', 'v?'])
  delegations = also(delegations, 'ending', ['v*'], true)
  delegations = also(delegations, 'after', ['*'])
  t.same(delegatesFor(delegating(delegations), 'v1', nativeSuite), [
    { role: 'first', terminating: false },
    { role: 'ending', terminating: true },
  ])
  t.same(rolesFor(delegating(delegations), 'w1'), ['after'])
})

await t.test('who delegates nothing has nobody to ask', async (t) => {
  t.same(rolesFor(delegating(), 'v1'), [])
  t.same(listedRoles(delegating()), [])
  t.throws(() => delegatedAuthority(delegating(), roleName('team')), { code: 'ROLE_NOT_LISTED' })
})

await t.test('the authority over a role is what its delegator says', async (t) => {
  const targets = delegating(also(undefined, 'team', ['*']))
  t.same(
    delegatedAuthority(targets, roleName('team')).role.keyids,
    SET.keys.map(({ id }) => id),
  )
  t.throws(() => delegatedAuthority(targets, roleName('teams')), { code: 'ROLE_NOT_LISTED' })
})

await t.test('scopes', async (t) => {
  const digest = nativeSuite.hash('sha256', new TextEncoder().encode('v1'))
  const CASES: readonly (readonly [name: string, scope: Scope, inside: boolean])[] = [
    ['one of the paths', { kind: 'paths', paths: ['x', 'v?'] }, true],
    ['none of the paths', { kind: 'paths', paths: ['x', 'v'] }, false],
    ['no paths', { kind: 'paths', paths: [] }, false],
    ["the hash's first digit", { kind: 'hash-prefixes', prefixes: ['zz', digest.slice(0, 1)] }, true],
    ['the whole hash', { kind: 'hash-prefixes', prefixes: [digest] }, true],
    ['more than the hash', { kind: 'hash-prefixes', prefixes: [`${digest}0`] }, false],
    ['the hash in capitals', { kind: 'hash-prefixes', prefixes: [digest.toUpperCase()] }, false],
    ['an empty prefix', { kind: 'hash-prefixes', prefixes: [''] }, false],
    ['no prefixes', { kind: 'hash-prefixes', prefixes: [] }, false],
  ]
  for (const [name, scope, inside] of CASES) t.equal(inScope(scope, 'v1', nativeSuite), inside, name)
})

await t.test('bins (TAP 15)', async (t) => {
  await t.test('are numbered by the top bits of the path', async (t) => {
    for (const bitLength of [1, 4, 5, 8, 10, 16, 31, 32]) {
      for (const path of ['v1', 'latest', 'é', '']) {
        const bits =
          BigInt(`0x${nativeSuite.hash('sha256', new TextEncoder().encode(path))}`) >> BigInt(256 - bitLength)
        const digits = Math.ceil(bitLength / 4)
        t.equal(binFor(bins(bitLength), path, nativeSuite), `bins-${bits.toString(16).padStart(digits, '0')}`)
      }
    }
  })
  await t.test('are named in order, each as long as the last', async (t) => {
    t.same(binNames(bins(1)), ['bins-0', 'bins-1'])
    t.same(binNames(bins(5, 'a')).slice(14, 18), ['a-0e', 'a-0f', 'a-10', 'a-11'])
    t.equal(binNames(bins(10)).at(-1), 'bins-3ff')
    t.throws(() => binNames(bins(17)), { code: 'MALFORMED' })
  })
  await t.test('are asked alone, and terminate', async (t) => {
    const targets = delegating(succinctBins(SET, 4, 'bins'))
    const role = binFor(bins(4), 'v1', nativeSuite)
    t.same(delegatesFor(targets, 'v1', nativeSuite), [{ role, terminating: true }])
    t.same(
      delegatedAuthority(targets, role).role.keyids,
      SET.keys.map(({ id }) => id),
    )
  })
  await t.test('have authority under their own names only', async (t) => {
    const targets = delegating(succinctBins(SET, 5, 'bins'))
    for (const name of [
      'bins-20',
      'bins-1',
      'bins-001',
      'bins-1F',
      'bins-',
      'bins',
      'bin-00',
      'bins_00',
      'bins-0g',
      'targets',
    ]) {
      t.throws(() => delegatedAuthority(targets, roleName(name)), { code: 'ROLE_NOT_LISTED' }, name)
    }
    for (const name of ['bins-00', 'bins-1f']) t.ok(delegatedAuthority(targets, roleName(name)), name)
  })
})

function also(
  before: Delegations | undefined,
  name: string,
  paths: readonly string[],
  terminating = false,
): Delegations {
  return withDelegation(before, { ...SET, name: roleName(name), scope: { kind: 'paths', paths }, terminating })
}

function rolesFor(targets: Targets, path: string): readonly string[] {
  return delegatesFor(targets, path, nativeSuite).map(({ role }) => role)
}
