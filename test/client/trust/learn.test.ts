import t from 'tap'
import type { TrustCache } from '../../../client/trust/cache.ts'
import { ClientError } from '../../../client/trust/errors.ts'
import { learn, remembered, withPublished } from '../../../client/trust/learn.ts'
import type { Learned } from '../../../client/trust/learn.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { refresh } from '../../../client/trust/refresh.ts'
import { delegatedRoles } from '../../../client/trust/resolve.ts'
import { instant, ROOT, roleName, SNAPSHOT, TARGETS, TIMESTAMP } from '../../../tuf/index.ts'
import type { RoleName } from '../../../tuf/index.ts'
import { NOW, Simulator, targetOf } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

const TEAM = roleName('team')

/** A publisher who refreshed once, and what it knows to begin with. */
async function publisher() {
  const simulator = new Simulator()
  simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
  simulator.sign({ 'team-1': targetOf('one') }, TEAM)
  const at = (seconds: number) => ({
    judge: simulator.judge({ now: instant(NOW + seconds * 1000) }),
    cache,
    anchor: { kind: 'root', bytes: simulator.anchor() } as const,
  })
  const cache = memoryCache()
  await refresh({ ...at(0), source: simulator })
  return { simulator, cache, at }
}

/** Everything the simulator serves now, as its publisher would hand it over. */
function learnedFrom(simulator: Simulator, ...roles: readonly RoleName[]): Learned {
  return {
    published: roles.map((role) => ({ role, bytes: simulator.newest(role) })),
    timestamp: simulator.newest(TIMESTAMP),
    snapshot: simulator.newest(SNAPSHOT),
  }
}

const LEARNED: Record<string, { publish: (simulator: Simulator) => void; role: RoleName }> = {
  'a new tag': { publish: (simulator) => simulator.sign({ new: targetOf('new') }), role: TARGETS },
  'a tag of a team': { publish: (simulator) => simulator.sign({ 'team-2': targetOf('two') }, TEAM), role: TEAM },
}
for (const [name, { publish, role }] of Object.entries(LEARNED)) {
  await t.test(`${name} that was published from here is remembered`, async (t) => {
    const { simulator, at, cache } = await publisher()
    const before = await filesIn(cache)
    publish(simulator)
    await learn(at(1), learnedFrom(simulator, role))
    simulator.requests.length = 0

    const known = await remembered(at(2))
    t.equal(known?.trust.snapshot.version, simulator.snapshot.version, 'it is remembered')
    t.strictSame(simulator.requests, [], 'and nobody is asked')
    if (known !== undefined) await delegatedRoles(known.trust, simulator, known.cache).find('team-1')
    t.strictSame(simulator.requests, role === TEAM ? [] : ['1.team.json'], 'but for roles that others published')
    t.strictSame(await filesIn(cache), before, 'and nothing of it is taken for trusted by a refresh')
  })
}

async function filesIn(cache: TrustCache) {
  return await Promise.all(
    ['root', 'timestamp', 'snapshot', 'targets', 'team'].map((name) => cache.load(`${name}.json`)),
  )
}

const FORGOTTEN: Record<string, { seconds: number; spoil?: (learned: Learned) => Learned }> = {
  'a minute later': { seconds: 61 },
  'under a clock that was set back': { seconds: 0 },
  'where the timestamp was changed': { seconds: 2, spoil: (it) => ({ ...it, timestamp: changed(it.timestamp) }) },
  'where the snapshot was changed': { seconds: 2, spoil: (it) => ({ ...it, snapshot: changed(it.snapshot) }) },
  'where the server answered with nonsense': { seconds: 2, spoil: (it) => ({ ...it, timestamp: Buffer.from('{}') }) },
  'where targets were changed': {
    seconds: 2,
    spoil: (it) => ({ ...it, published: it.published.map(({ role, bytes }) => ({ role, bytes: changed(bytes) })) }),
  },
}
for (const [name, { seconds, spoil = (it: Learned) => it }] of Object.entries(FORGOTTEN)) {
  await t.test(`nothing is remembered ${name}, and the next refresh sees to it`, async (t) => {
    const { simulator, at } = await publisher()
    simulator.sign({ new: targetOf('new') })
    await learn(at(1), spoil(learnedFrom(simulator, TARGETS)))
    t.equal(await remembered(at(seconds)), undefined)
    const trust = await refresh({ ...at(seconds), source: simulator })
    t.ok(trust.targets.targets.has('new'))
  })
}

for (const [name, spoil] of Object.entries({
  'is cut off': (bytes: Uint8Array) => bytes.subarray(0, -1),
  'is too long': (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.from('x')]),
  'is empty': () => new Uint8Array(),
  'is something else': () => Buffer.from('x y z\n'),
  'brings a root along': (bytes: Uint8Array) =>
    Buffer.concat([Buffer.from(Buffer.from(bytes).toString().replace('\n', ' root.json 2\n')), Buffer.from('{}')]),
  'lies about lengths': (bytes: Uint8Array) =>
    Buffer.from(bytes.toString().replace(' snapshot.json ', ' snapshot.json -')),
})) {
  await t.test(`nothing is remembered from a file that ${name}`, async (t) => {
    const { simulator, at, cache } = await publisher()
    simulator.sign({ new: targetOf('new') })
    await learn(at(1), learnedFrom(simulator, TARGETS))
    await cache.store('published', spoil((await cache.load('published')) ?? new Uint8Array()))
    t.equal(await remembered(at(2)), undefined)
  })
}

await t.test('nothing is remembered by who never published', async (t) => {
  const { at } = await publisher()
  t.equal(await remembered(at(1)), undefined)
})

await t.test('later it still spares who publishes again the download of what was published', async (t) => {
  const { simulator, at, cache } = await publisher()
  simulator.sign({ new: targetOf('new') })
  await learn(at(1), learnedFrom(simulator, TARGETS))
  simulator.requests.length = 0
  const trust = await refresh({ ...at(600), cache: await withPublished(cache), source: simulator })
  t.ok(trust.targets.targets.has('new'))
  t.strictSame(simulator.requests, ['2.root.json', 'timestamp.json'])
  simulator.sign({ newer: targetOf('newer') })
  const next = await refresh({ ...at(601), cache: await withPublished(cache), source: simulator })
  t.ok(next.targets.targets.has('newer'), 'and never keeps anybody from what is newer')
})

await t.test('a root is walked to, never learned', async (t) => {
  const { simulator, at, cache } = await publisher()
  const before = await cache.load('root.json')
  simulator.publishRoot({ targets: [signingKey('ed25519')] })
  simulator.sign({ new: targetOf('new') })
  await learn(at(1), learnedFrom(simulator, ROOT, TARGETS))
  t.strictSame(await cache.load('root.json'), before)
  t.equal(await remembered(at(2)), undefined)
})

await t.test('what somebody else learned later is not lowered', async (t) => {
  const { simulator, at } = await publisher()
  simulator.sign({ mine: targetOf('mine') })
  const mine = learnedFrom(simulator, TARGETS)
  simulator.sign({ theirs: targetOf('theirs') })
  await refresh({ ...at(1), source: simulator })
  await learn(at(1), mine)
  t.equal(await remembered(at(2)), undefined, 'it is older than what was seen')
  const old = { get: async (name: string) => (name === 'timestamp.json' ? mine.timestamp : undefined) }
  await t.rejects(refresh({ ...at(2), source: old }), { code: 'ROLLBACK' })
})

await t.test('a disk that is full keeps nobody from having published; a bug is not hidden', async (t) => {
  const { simulator, at, cache } = await publisher()
  const failing = (error: Error) => ({ ...at(1), cache: { ...cache, store: failWith(error) } })
  const full = new ClientError('CACHE_UNUSABLE', { path: 'state', reason: 'the disk is full' })
  await t.resolves(learn(failing(full), learnedFrom(simulator, TARGETS)))
  await t.rejects(learn(failing(new Error('a bug')), learnedFrom(simulator, TARGETS)), { message: 'a bug' })
})

function failWith(error: Error) {
  return async (): Promise<void> => {
    throw error
  }
}

function changed(bytes: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(bytes).toString('utf8').replace('"version":', '"version":1'))
}
