import t from 'tap'
import { DEFAULT_LIMITS, TARGETS, roleName, succinctBins, binNames } from '../../../tuf/index.ts'
import { lookedUp, refreshed } from '../../support/refresh.ts'
import { Simulator, keySet, targetOf } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

type Edge = readonly [from: string, to: string, options?: { paths?: readonly string[]; terminating?: true }]
type Graph = {
  readonly edges: readonly Edge[]
  /** Which roles list the target `v1`. */
  readonly holders?: readonly string[]
  readonly visited: readonly string[]
  readonly found?: string
}

const GRAPHS: Record<string, Graph> = {
  'targets itself comes first': { edges: [['targets', 'a']], holders: ['targets', 'a'], visited: [], found: 'targets' },
  'a delegated role is asked when targets has nothing': {
    edges: [['targets', 'a']],
    holders: ['a'],
    visited: ['a'],
    found: 'a',
  },
  'nobody has it': {
    edges: [
      ['targets', 'a'],
      ['targets', 'b'],
      ['a', 'c'],
    ],
    visited: ['a', 'c', 'b'],
  },
  'children come before siblings': {
    edges: [
      ['targets', 'a'],
      ['targets', 'b'],
      ['a', 'c'],
      ['c', 'd'],
      ['b', 'e'],
    ],
    holders: ['e', 'b'],
    visited: ['a', 'c', 'd', 'b'],
    found: 'b',
  },
  'roles are asked in the order they are listed': {
    edges: [
      ['targets', 'b'],
      ['targets', '10'],
      ['targets', '2'],
    ],
    holders: ['10', '2'],
    visited: ['b', '10'],
    found: '10',
  },
  'a role that does not cover the path is passed over': {
    edges: [
      ['targets', 'a', { paths: ['x*'] }],
      ['targets', 'b'],
    ],
    holders: ['a', 'b'],
    visited: ['b'],
    found: 'b',
  },
  'a role below one that covers the path must cover it as well': {
    edges: [
      ['targets', 'a'],
      ['a', 'b', { paths: ['x'] }],
    ],
    holders: ['b'],
    visited: ['a'],
  },
  'nothing comes after a terminating role': {
    edges: [
      ['targets', 'a', { terminating: true }],
      ['targets', 'b'],
    ],
    holders: ['b'],
    visited: ['a'],
  },
  'below a terminating role the search goes on': {
    edges: [
      ['targets', 'a', { terminating: true }],
      ['targets', 'b'],
      ['a', 'c'],
      ['a', 'd'],
    ],
    holders: ['d', 'b'],
    visited: ['a', 'c', 'd'],
    found: 'd',
  },
  'a terminating role deep down ends the whole search': {
    edges: [
      ['targets', 'a'],
      ['targets', 'b'],
      ['a', 'c', { terminating: true }],
      ['a', 'd'],
    ],
    holders: ['b', 'd'],
    visited: ['a', 'c'],
  },
  'siblings before a terminating role come first': {
    edges: [
      ['targets', 'a'],
      ['targets', 'b', { terminating: true }],
      ['targets', 'c'],
      ['a', 'd'],
    ],
    visited: ['a', 'd', 'b'],
  },
  'a terminating role that does not cover the path ends nothing': {
    edges: [
      ['targets', 'a', { terminating: true, paths: ['x'] }],
      ['targets', 'b'],
    ],
    holders: ['b'],
    visited: ['b'],
    found: 'b',
  },
  'a cycle ends': {
    edges: [
      ['targets', 'a'],
      ['a', 'b'],
      ['b', 'a'],
      ['b', 'c'],
    ],
    visited: ['a', 'b', 'c'],
  },
  'a role that delegates to itself ends': {
    edges: [
      ['targets', 'a'],
      ['a', 'a'],
    ],
    visited: ['a'],
  },
  'a role reached in two ways is asked once': {
    edges: [
      ['targets', 'a'],
      ['targets', 'b'],
      ['a', 'c'],
      ['b', 'c'],
      ['b', 'd'],
    ],
    visited: ['a', 'c', 'b', 'd'],
  },
  'roles named like things that objects inherit': {
    edges: [
      ['targets', '__proto__'],
      ['targets', 'constructor'],
      ['targets', 'toString'],
    ],
    holders: ['toString'],
    visited: ['__proto__', 'constructor', 'toString'],
    found: 'toString',
  },
}

for (const [name, { edges, holders = [], visited, found }] of Object.entries(GRAPHS)) {
  await t.test(name, async (t) => {
    const repository = drawn(edges, holders)
    const asked: string[] = []
    const answer = lookedUp(repository, refreshed(repository), 'v1', asked)
    t.same(asked, visited)
    t.equal(answer?.role, found)
    if (found !== undefined) t.same(answer?.target, targetOf(found))
  })
}

await t.test('targets named like things that objects inherit are not there unless listed', async (t) => {
  const repository = new Simulator()
  for (const path of ['__proto__', 'constructor', 'toString']) {
    t.equal(lookedUp(repository, refreshed(repository), path), undefined)
  }
  repository.publishTargets({ set: new Map([['__proto__', targetOf('x')]]) })
  repository.release()
  t.same(lookedUp(repository, refreshed(repository), '__proto__')?.target, targetOf('x'))
})

await t.test('at most so many roles are asked', async (t) => {
  const chain = (length: number) => Array.from({ length }, (_, i): Edge => [i === 0 ? 'targets' : `r${i - 1}`, `r${i}`])
  const most = drawn(chain(4), ['r3'])
  const limits = { ...DEFAULT_LIMITS, delegatedRoles: 4 }
  t.equal(lookedUp(most, refreshed(most, most.judge({ limits })), 'v1')?.role, 'r3')
  const tooMany = drawn(chain(5), ['r4'])
  const trust = refreshed(tooMany, tooMany.judge({ limits }))
  t.throws(() => lookedUp(tooMany, trust, 'v1'), { code: 'TOO_MANY_ROLES', detail: { target: 'v1', limit: 4 } })
})

await t.test('a role whose file cannot be trusted ends the search', async (t) => {
  const repository = drawn(
    [
      ['targets', 'a'],
      ['targets', 'b'],
    ],
    ['b'],
  )
  repository.files.set('1.a.json', repository.seal(repository.targetsOf(roleName('a')), [signingKey()]))
  t.throws(() => lookedUp(repository, refreshed(repository), 'v1'), { code: 'THRESHOLD' })
})

await t.test('a target in a bin is found in its own bin and nowhere else', async (t) => {
  const repository = new Simulator()
  const key = signingKey()
  const delegations = succinctBins(keySet([key]), 3, 'bin')
  repository.publishTargets({ delegations })
  const names = delegations.succinct === undefined ? [] : binNames(delegations.succinct)
  const everywhere = new Map([['v1', targetOf('v1')]])
  for (const bin of names) {
    repository.signers.set(bin, [key])
    repository.publishTargets({ set: everywhere }, bin)
  }
  repository.release()
  const asked: string[] = []
  const found = lookedUp(repository, refreshed(repository), 'v1', asked)
  t.same(asked, [found?.role])
  repository.publishTargets({ remove: new Set(['v1']) }, found?.role)
  repository.release()
  t.equal(lookedUp(repository, refreshed(repository), 'v1'), undefined)
})

/** A repository whose roles delegate along these edges, in their order. A holder's `v1` stands for its own name. */
function drawn(edges: readonly Edge[], holders: readonly string[]): Simulator {
  const repository = new Simulator()
  const names = new Set([...edges.flatMap(([from, to]) => [from, to]), 'targets'])
  for (const name of names) {
    const role = roleName(name)
    if (role !== TARGETS) repository.signers.set(role, [signingKey()])
    repository.publishTargets({ set: new Map(holders.includes(name) ? [['v1', targetOf(name)]] : []) }, role)
  }
  for (const [from, to, { paths = ['*'], terminating = false } = {}] of edges) {
    const signers = repository.signers.get(roleName(to)) ?? []
    repository.delegate(roleName(from), roleName(to), { signers, paths, terminating })
  }
  repository.release()
  return repository
}
