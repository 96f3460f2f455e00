import t from 'tap'
import { setTag, signTargets } from '../support/party.ts'
import { openTestServer, REPO } from '../support/app.ts'

await t.test('a repository is created, published to and served', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create(['1.0', 'latest'])
  setTag(owner, server.clock.now, '1.1', 'another')
  const answer = await server.publish({ targets: await signTargets(owner) })
  t.equal(answer.statusCode, 200, answer.body)
  t.same(answer.json(), { versions: { root: 1, snapshot: 2, targets: 2, timestamp: 2 } })
  const served = await server.get(`/v2/${REPO}/_trust/tuf/2.targets.json`)
  t.equal(served.statusCode, 200)
  t.same(served.rawPayload, Buffer.from(await signTargets(owner)))
})
