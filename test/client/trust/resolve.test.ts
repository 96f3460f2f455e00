import t from 'tap'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { refresh } from '../../../client/trust/refresh.ts'
import { delegatedRoles } from '../../../client/trust/resolve.ts'
import type { Delegated } from '../../../client/trust/resolve.ts'
import { roleName, TARGETS } from '../../../tuf/index.ts'
import type { RoleName } from '../../../tuf/index.ts'
import { signingKey } from '../../support/signing-key.ts'
import { Simulator, targetOf } from '../../support/simulator.ts'
import { succinctBins } from '../../../tuf/index.ts'

const TEAM = roleName('team')
const OTHER = roleName('other')

async function opened(simulator: Simulator, cache = memoryCache()) {
  simulator.requests.length = 0
  const anchor = { kind: 'root', bytes: simulator.anchor() } as const
  const trust = await refresh({ judge: simulator.judge(), source: simulator, cache, anchor })
  const before = simulator.requests.length
  return { trust, cache, roles: delegatedRoles(trust, simulator, cache), asked: () => simulator.requests.slice(before) }
}

async function namesOf(roles: Delegated): Promise<string[]> {
  const names: string[] = []
  for await (const { role } of roles.all()) names.push(role)
  return names
}

function withTeam(): Simulator {
  const simulator = new Simulator()
  simulator.delegate(TARGETS, TEAM, { paths: ['team-*'] })
  simulator.sign({ 'team-1': targetOf('one'), stray: targetOf('not its own') }, TEAM)
  return simulator
}

await t.test('a tag of a team is found through its role, which is fetched once', async (t) => {
  const simulator = withTeam()
  const { roles, asked, cache } = await opened(simulator)
  t.match(await roles.find('team-1'), { role: 'team', path: 'team-1' })
  t.equal(await roles.find('team-2'), undefined)
  t.equal(await roles.find('stray'), undefined, 'outside its paths a role has no say')
  t.same(asked(), ['1.team.json'])
  const again = await opened(simulator, cache)
  t.match(await again.roles.find('team-1'), { role: 'team' })
  t.same(again.asked(), [], 'and not again in the next run')
})

await t.test('a kept role that somebody changed is fetched again', async (t) => {
  const simulator = withTeam()
  const { roles, cache } = await opened(simulator)
  await roles.find('team-1')
  for (const damage of [
    '',
    '{}',
    'nonsense',
    Buffer.from(simulator.newest(TEAM)).toString().replace('team-1', 'team-9'),
  ]) {
    await cache.store('team.json', Buffer.from(damage))
    const next = await opened(simulator, cache)
    t.match(await next.roles.find('team-1'), { role: 'team' })
    t.same(next.asked(), ['1.team.json'])
  }
})

await t.test('what a role is refused for ends the search', async (t) => {
  const REFUSED: Record<string, { spoil: (simulator: Simulator) => void; code: string }> = {
    'it is not there': { spoil: (simulator) => simulator.files.delete('1.team.json'), code: 'NO_TRUST_DATA' },
    'it is signed by a stranger': {
      spoil: (simulator) =>
        simulator.files.set('1.team.json', simulator.seal(simulator.targetsOf(TEAM), [signingKey()])),
      code: 'THRESHOLD',
    },
    'it is the file of another role': {
      spoil: (simulator) => simulator.files.set('1.team.json', simulator.newest(TARGETS)),
      code: 'THRESHOLD',
    },
    'the snapshot does not list it': {
      spoil: (simulator) => simulator.unlist(TEAM),
      code: 'ROLE_NOT_LISTED',
    },
  }
  for (const [name, { spoil, code }] of Object.entries(REFUSED)) {
    await t.test(`because ${name}`, async (t) => {
      const simulator = withTeam()
      simulator.delegate(TARGETS, OTHER, { paths: ['*'] })
      simulator.sign({ 'team-1': targetOf('another answer') }, OTHER)
      spoil(simulator)
      const { roles, cache } = await opened(simulator)
      await t.rejects(roles.find('team-1'), { code })
      t.equal(await cache.load('team.json'), undefined, 'nothing was stored')
    })
  }
})

await t.test('a role reached by two ways is judged by the keys of each', async (t) => {
  const simulator = new Simulator()
  const shared = roleName('shared')
  simulator.delegate(TARGETS, TEAM)
  simulator.delegate(TARGETS, OTHER)
  simulator.publishTargets({}, TEAM)
  simulator.publishTargets({}, OTHER)
  simulator.delegate(TEAM, shared, { paths: ['a'] })
  simulator.delegate(OTHER, shared, { paths: ['b'], signers: [signingKey()] })
  simulator.sign({ a: targetOf('a'), b: targetOf('b') }, shared)
  const { roles, asked } = await opened(simulator)
  t.match(await roles.find('a'), { role: 'shared' })
  await t.rejects(roles.find('b'), { code: 'THRESHOLD' })
  t.equal(asked().filter((name) => name.includes('shared')).length, 1)
})

await t.test('all roles are listed in the order of the search, each once', async (t) => {
  const simulator = new Simulator()
  const names = ['b', '10', '2'].map(roleName)
  for (const name of names) {
    simulator.delegate(TARGETS, name)
    simulator.publishTargets({}, name)
  }
  const [first, , last] = names as [RoleName, RoleName, RoleName]
  simulator.delegate(first, TEAM)
  simulator.delegate(last, TEAM, { signers: simulator.signers.get(TEAM) ?? [] })
  simulator.publishTargets({}, TEAM)
  simulator.release()
  const { roles } = await opened(simulator)
  t.same(await namesOf(roles), ['b', 'team', '10', '2'])
})

await t.test('hash bins are listed whole, unless they are beyond counting', async (t) => {
  const simulator = new Simulator()
  const signers = simulator.signers.get(TARGETS) ?? []
  const keys = { keys: signers.map((key) => key.public), threshold: 1 }
  simulator.publishTargets({ delegations: succinctBins(keys, 2, 'bin') })
  for (let i = 0; i < 4; i++) {
    simulator.signers.set(roleName(`bin-${i}`), signers)
    simulator.publishTargets({}, roleName(`bin-${i}`))
  }
  simulator.release()
  const { roles } = await opened(simulator)
  t.same(await namesOf(roles), ['bin-0', 'bin-1', 'bin-2', 'bin-3'])
  simulator.publishTargets({ delegations: succinctBins(keys, 32, 'bin') })
  simulator.release()
  await t.rejects(namesOf((await opened(simulator)).roles), { code: 'TOO_MANY_ROLES' })
})
