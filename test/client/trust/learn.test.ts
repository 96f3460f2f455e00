import t from 'tap'
import { learn } from '../../../client/trust/learn.ts'
import type { Learned } from '../../../client/trust/learn.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { refresh } from '../../../client/trust/refresh.ts'
import { delegatedRoles } from '../../../client/trust/resolve.ts'
import { ROOT, roleName, TARGETS } from '../../../tuf/index.ts'
import type { RoleName } from '../../../tuf/index.ts'
import { Simulator, targetOf } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

const TEAM = roleName('team')

/** A publisher who refreshed once, and what it knows to begin with. */
async function publisher() {
  const simulator = new Simulator()
  simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
  simulator.sign({ 'team-1': targetOf('one') }, TEAM)
  const options = {
    judge: simulator.judge(),
    cache: memoryCache(),
    anchor: { kind: 'root', bytes: simulator.anchor() } as const,
  }
  await refresh({ ...options, source: simulator })
  const kept = async () => await Promise.all(['root', 'timestamp', 'snapshot', 'targets'].map(load))
  const load = async (role: string) => Buffer.from((await options.cache.load(`${role}.json`)) ?? []).toString()
  return { simulator, options, kept }
}

/** Everything the simulator serves now, as its publisher would hand it over. */
function learnedFrom(simulator: Simulator, ...roles: readonly RoleName[]): Learned {
  const versionOf = (role: RoleName) => (role === ROOT ? simulator.root : simulator.targetsOf(role)).version
  return {
    published: roles.map((role) => ({ role, version: versionOf(role), bytes: simulator.newest(role) })),
    timestamp: simulator.newest(roleName('timestamp')),
    snapshot: simulator.newest(roleName('snapshot')),
  }
}

const LEARNED: Record<string, { publish: (simulator: Simulator) => void; roles: readonly RoleName[] }> = {
  'a new tag': { publish: (simulator) => simulator.sign({ new: targetOf('new') }), roles: [TARGETS] },
  'a tag of a team': { publish: (simulator) => simulator.sign({ 'team-2': targetOf('two') }, TEAM), roles: [TEAM] },
  'a new root with other targets keys': {
    publish(simulator) {
      simulator.publishRoot({ targets: [signingKey('ed25519')] })
      simulator.sign({ new: targetOf('new') })
    },
    roles: [ROOT, TARGETS],
  },
}
for (const [name, { publish, roles }] of Object.entries(LEARNED)) {
  await t.test(`${name} that was published from here is not fetched again`, async (t) => {
    const { simulator, options } = await publisher()
    publish(simulator)
    await learn(options, learnedFrom(simulator, ...roles))
    simulator.requests.length = 0
    const trust = await refresh({ ...options, source: simulator })
    t.equal(trust.targets.version, simulator.targetsOf(TARGETS).version)
    await delegatedRoles(trust, simulator, options.cache).find('team-1')
    const learnedRole = roles.includes(TEAM) ? [] : ['1.team.json']
    t.strictSame(simulator.requests, [`${simulator.root.version + 1}.root.json`, 'timestamp.json', ...learnedRole])
  })
}

const REFUSED: Record<string, (learned: Learned) => Learned> = {
  'a timestamp that was changed': (learned) => ({ ...learned, timestamp: changed(learned.timestamp) }),
  'a snapshot that was changed': (learned) => ({ ...learned, snapshot: changed(learned.snapshot) }),
  'what is no metadata at all': (learned) => ({ ...learned, timestamp: Buffer.from('{}') }),
  'targets that were not signed': (learned) => ({
    ...learned,
    published: learned.published.map((file) => ({ ...file, bytes: changed(file.bytes) })),
  }),
}
for (const [name, lie] of Object.entries(REFUSED)) {
  await t.test(`${name} is not learned, and the next refresh sees to it`, async (t) => {
    const { simulator, options, kept } = await publisher()
    const [root, , , targets] = await kept()
    simulator.sign({ new: targetOf('new') })
    await learn(options, lie(learnedFrom(simulator, TARGETS)))
    const [rootAfter, , , targetsAfter] = await kept()
    t.strictSame([rootAfter, targetsAfter], [root, targets])
    const trust = await refresh({ ...options, source: simulator })
    t.ok(trust.targets.targets.has('new'))
  })
}

await t.test('what somebody else learned later is not undone', async (t) => {
  const { simulator, options, kept } = await publisher()
  simulator.sign({ mine: targetOf('mine') })
  const mine = learnedFrom(simulator, TARGETS)
  simulator.sign({ theirs: targetOf('theirs') })
  await refresh({ ...options, source: simulator })
  const before = await kept()
  await learn(options, mine)
  t.strictSame(await kept(), before)
})

await t.test('a disk that fails is not hidden', async (t) => {
  const { simulator, options } = await publisher()
  const broken = { ...options.cache, store: () => Promise.reject(new Error('a bug, and no refusal')) }
  simulator.sign({ new: targetOf('new') })
  await t.rejects(learn({ ...options, cache: broken }, learnedFrom(simulator, TARGETS)), { message: /a bug/ })
})

function changed(bytes: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(bytes).toString('utf8').replace('"version":', '"version":1'))
}
