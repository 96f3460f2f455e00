/** The search in the dialect of Notary v1: breadth first, by plain prefixes, in docker's order or notary's own. */
import t from 'tap'
import { DOCKER_ORDER, NOTARY_ORDER, TARGETS, notaryCodec, roleName, search, targetsFile } from '../../../tuf/index.ts'
import { acceptDelegated, heardRoles } from '../../../tuf/index.ts'
import type { SearchOrder } from '../../../tuf/index.ts'
import { refreshed } from '../../support/refresh.ts'
import { certifiedKey } from '../../support/signing-key.ts'
import { NOW, Simulator, targetOf } from '../../support/simulator.ts'

const NAME = 'example.com/app'
const root = [await certifiedKey({ name: NAME, from: NOW, until: NOW + 86_400_000 })]

type Edge = readonly [from: string, to: string, paths?: readonly string[]]
type Graph = {
  readonly edges: readonly Edge[]
  /** Which roles list the target. */
  readonly holders?: readonly string[]
  /** Roles that nobody published. */
  readonly unpublished?: readonly string[]
  readonly path?: string
  readonly order?: SearchOrder
  readonly visited: readonly string[]
  readonly found?: string
}

const [RELEASES, QA, NIGHTLY, DEEP] = [
  'targets/releases',
  'targets/qa',
  'targets/releases/nightly',
  'targets/qa/deep',
] as const
const BELOW_TARGETS: readonly Edge[] = [
  ['targets', QA],
  ['targets', RELEASES],
  [RELEASES, NIGHTLY],
  [QA, DEEP],
]

const GRAPHS: Record<string, Graph> = {
  'docker asks its releases before targets': {
    edges: BELOW_TARGETS,
    holders: ['targets', RELEASES],
    visited: [RELEASES],
    found: RELEASES,
  },
  'docker asks targets when releases and all below have nothing': {
    edges: BELOW_TARGETS,
    holders: ['targets'],
    visited: [RELEASES, NIGHTLY],
    found: 'targets',
  },
  'docker takes no word from below its releases, and looks no further': {
    edges: BELOW_TARGETS,
    holders: [NIGHTLY, 'targets'],
    visited: [RELEASES, NIGHTLY],
  },
  'docker takes no word from another role': {
    edges: BELOW_TARGETS,
    holders: [QA],
    visited: [RELEASES, NIGHTLY, QA],
  },
  'docker asks targets where there are no releases': { edges: [], holders: ['targets'], visited: [], found: 'targets' },
  'notary asks targets first': {
    edges: BELOW_TARGETS,
    holders: ['targets', RELEASES],
    order: NOTARY_ORDER,
    visited: [],
    found: 'targets',
  },
  'notary asks siblings before children': {
    edges: BELOW_TARGETS,
    holders: [DEEP, NIGHTLY],
    order: NOTARY_ORDER,
    visited: [QA, RELEASES, DEEP],
    found: DEEP,
  },
  'a search may begin in the middle': {
    edges: BELOW_TARGETS,
    holders: ['targets', QA, DEEP],
    order: { walk: 'breadth-first', starts: [roleName(DEEP)] },
    visited: [QA, DEEP],
    found: DEEP,
  },
  'a role that signed nothing yet is passed over': {
    edges: BELOW_TARGETS,
    unpublished: [RELEASES, NIGHTLY],
    holders: ['targets'],
    visited: [],
    found: 'targets',
  },
  'a role that is no child of its delegator is passed over': {
    edges: [
      ['targets', QA],
      [QA, NIGHTLY],
      ['targets', DEEP],
    ],
    holders: [NIGHTLY, DEEP],
    order: NOTARY_ORDER,
    visited: [QA],
  },
  'a role has no say beyond its prefixes': {
    edges: [['targets', RELEASES, ['qa/', 'v']]],
    path: 'w1',
    holders: [RELEASES],
    order: NOTARY_ORDER,
    visited: [],
  },
  'a prefix covers whatever begins with it': {
    edges: [['targets', RELEASES, ['qa/', 'v']]],
    path: 'v1/2',
    holders: [RELEASES],
    visited: [RELEASES],
    found: RELEASES,
  },
  'a child has no say beyond its delegator': {
    edges: [
      ['targets', RELEASES, ['v']],
      [RELEASES, NIGHTLY, ['']],
    ],
    holders: [NIGHTLY],
    order: NOTARY_ORDER,
    visited: [RELEASES],
  },
  'a child may have a part of what its delegator has': {
    edges: [
      ['targets', RELEASES, ['v']],
      [RELEASES, NIGHTLY, ['v1']],
    ],
    holders: [NIGHTLY],
    order: NOTARY_ORDER,
    visited: [RELEASES, NIGHTLY],
    found: NIGHTLY,
  },
}

for (const [name, graph] of Object.entries(GRAPHS)) {
  await t.test(name, async (t) => {
    const { path = 'v1', visited, found, order } = graph
    const simulator = build(graph)
    const trust = refreshed(simulator)
    const asked: string[] = []
    const steps = search(trust, path, order)
    let step = steps.next()
    while (step.done !== true) {
      const { role, delegator } = step.value
      asked.push(role)
      const bytes = simulator.file(targetsFile(trust, role).name)
      step = steps.next(acceptDelegated(trust, role, delegator, bytes))
    }
    t.same(asked, visited)
    t.equal(step.value?.role, found)
  })
}

await t.test('a role that lost its last key is passed over', async (t) => {
  const simulator = build({ edges: [['targets', RELEASES]], visited: [] })
  const { delegations } = simulator.targetsOf(TARGETS)
  const roles = delegations?.roles.map((role) => ({ ...role, keyids: [] })) ?? []
  simulator.publishTargets({ delegations: { keys: new Map(), unknown: new Map(), roles } })
  simulator.release()
  const trust = refreshed(simulator)
  t.same(heardRoles(trust, TARGETS, trust.targets), [])
  t.equal(search(trust, 'v1', DOCKER_ORDER).next().done, true)
})

await t.test('no more roles are asked than the limit says', async (t) => {
  const edges = Array.from({ length: 5 }, (_, i) => ['targets', `targets/r${i}`] as const)
  const simulator = build({ edges, visited: [] })
  const judge = simulator.judge()
  const trust = refreshed(simulator, { ...judge, limits: { ...judge.limits, delegatedRoles: 4 } })
  const all = () => {
    const steps = search(trust, 'v1')
    let step = steps.next()
    while (step.done !== true) step = steps.next(trust.targets)
  }
  t.throws(all, { code: 'TOO_MANY_ROLES', detail: { limit: 4 } })
})

function build({ edges, holders = [], unpublished = [], path = 'v1' }: Graph): Simulator {
  const simulator = new Simulator({ codec: notaryCodec, repository: NAME, keys: { root } })
  const roles = new Set(edges.map(([, to]) => to))
  for (const role of roles) {
    if (!unpublished.includes(role)) simulator.publishTargets({}, roleName(role))
  }
  for (const [from, to, paths = ['']] of edges) {
    if (!simulator.targets.has(roleName(from))) continue
    simulator.delegate(roleName(from), roleName(to), { paths })
    simulator.publishTargets({}, roleName(from))
  }
  for (const role of roles) if (!unpublished.includes(role)) simulator.publishTargets({}, roleName(role))
  for (const holder of holders) {
    simulator.publishTargets({ set: new Map([[path, targetOf(holder)]]) }, roleName(holder))
  }
  simulator.release()
  return simulator
}
