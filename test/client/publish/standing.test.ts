import t from 'tap'
import { rolesFor } from '../../../client/publish/standing.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { refresh } from '../../../client/trust/refresh.ts'
import { delegatedRoles } from '../../../client/trust/resolve.ts'
import { roleName, TARGETS } from '../../../tuf/index.ts'
import { signingKey } from '../../support/signing-key.ts'
import { Simulator, targetOf } from '../../support/simulator.ts'

const TEAM = roleName('team')

await t.test(
  'a role that its new keys have not signed is fetched once, however many tags it may speak for',
  async (t) => {
    const simulator = new Simulator()
    simulator.delegate(TARGETS, TEAM, { signers: [signingKey()] })
    simulator.sign({ a: targetOf('a') }, TEAM)
    const file = simulator.newest(TEAM)
    simulator.delegate(TARGETS, TEAM, { signers: [signingKey()] })
    simulator.release()
    simulator.files.set('2.team.json', file)
    simulator.files.set('1.team.json', file)
    const cache = memoryCache()
    const anchor = { kind: 'root', bytes: simulator.anchor() } as const
    const trust = await refresh({ judge: simulator.judge(), source: simulator, cache, anchor })
    const standing = { ...trust, ...delegatedRoles(trust, simulator, cache) }
    simulator.requests.length = 0
    for (const tag of ['a', 'b', 'c']) {
      t.match(await rolesFor(standing, tag), [{ name: TARGETS }, { name: TEAM, file: undefined }])
    }
    t.equal(simulator.requests.length, 1)
  },
)
