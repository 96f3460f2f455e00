/** Whoever may push to a Notary repository, against the server and against whoever has the name after them. */
import t from 'tap'
import { threshold, roleName } from '../../tuf/index.ts'
import { REPO } from '../server/support/app.ts'
import { openNotaryLab, signTargets, withVersion } from '../server/support/notary-party.ts'

const TUF = `/v2/${REPO}/_trust/tuf`

await t.test(
  'a file that delegates to more roles than anybody could list is taken in one pass over them',
  async (t) => {
    const lab = await openNotaryLab(t)
    const roles = Array.from({ length: 130_000 }, (_, i) => ({
      name: roleName(`targets/${i.toString(36)}`),
      keyids: [],
      threshold: threshold(1),
      scope: { kind: 'path-prefixes', prefixes: [] } as const,
      terminating: false,
      unknown: new Map(),
    }))
    const { owner } = lab
    owner.targets = {
      ...withVersion(owner.targets, owner.targets.version + 1),
      delegations: { keys: new Map(), roles, unknown: new Map() },
    }
    const answer = await lab.publish({ targets: signTargets(owner) })
    t.equal(answer.statusCode, 200, answer.body.slice(0, 200))
    t.equal((await lab.get(`${TUF}/targets.json`)).statusCode, 200)
  },
)
