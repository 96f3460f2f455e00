import t from 'tap'
import { openTestServer, REPO, type KeyObject } from '../support/app.ts'

const url = `/v2/${REPO}/_trust/tuf/timestamp.key`

await t.test('asking for another key again and again fills neither the keys nor the audit', async (t) => {
  const server = await openTestServer(t)
  const offered = new Set<string>()
  for (let i = 0; i < 100; i++) {
    const answer = await server.app.inject({ method: 'POST', url })
    t.equal(answer.statusCode, 200)
    offered.add(answer.json<KeyObject>().keyval.public)
  }
  const { keys, audit } = server.services.deps.store
  t.equal(offered.size, 32)
  t.equal((await keys.list(REPO, 'timestamp')).length, 32)
  t.equal((await audit.list({ limit: 1000 })).length, 32)
})
