/** Whoever has no token, or the wrong one, writes nothing: on every route that writes. */
import t from 'tap'
import { openTestServer, REPO } from '../server/support/app.ts'
import type { TestServer } from '../server/support/app.ts'
import { multipart, newOwner, setTag, signBoth, signTargets } from '../server/support/party.ts'
import { everythingOf } from '../support/upload-lab.ts'

const OTHER = 'registry.example.com/other/app'
type Holder = (server: TestServer) => Promise<string | undefined>
const bearer = async (token: Promise<string>) => `Bearer ${await token}`
const revoked: Holder = async (server) => {
  const token = await server.token({ name: 'gone', repository: '**', actions: ['admin'] })
  await server.app.inject({
    method: 'DELETE',
    url: '/v1/tokens/gone',
    headers: { authorization: await bearer(server.token({ name: 'boss', actions: ['admin'] })) },
  })
  return `Bearer ${token}`
}
const HOLDERS: Record<string, { header: Holder; code: string }> = {
  'no token': { header: async () => undefined, code: 'UNAUTHORIZED' },
  'a token that was never made': { header: async () => `Bearer tst_${'A'.repeat(43)}`, code: 'UNAUTHORIZED' },
  'a token that was revoked': { header: revoked, code: 'UNAUTHORIZED' },
  'a token as a password': {
    header: async (server) =>
      `Basic ${Buffer.from(`x:${await server.token({ actions: ['admin'] })}`).toString('base64')}`,
    code: 'UNAUTHORIZED',
  },
  'half a token': {
    header: async (server) => (await bearer(server.token({ actions: ['admin'] }))).slice(0, -20),
    code: 'UNAUTHORIZED',
  },
  'a token that expired': {
    header: async (server) => {
      const header = await bearer(server.token({ actions: ['admin'], expiresAt: server.clock.now + 1000 }))
      server.clock.now += 1000
      return header
    },
    code: 'UNAUTHORIZED',
  },
  'a token to read': {
    header: async (server) => await bearer(server.token({ actions: ['pull'], repository: '**' })),
    code: 'DENIED',
  },
  "another repository's token": {
    header: async (server) => await bearer(server.token({ actions: ['push'], repository: OTHER })),
    code: 'DENIED',
  },
  'a token for a pattern that only looks alike': {
    header: async (server) => await bearer(server.token({ actions: ['push'], repository: 'registry.example.com/*' })),
    code: 'DENIED',
  },
}
const ADMIN_ONLY = { name: 'mine', repository: '**', actions: ['admin'] }

for (const [name, { header, code }] of Object.entries(HOLDERS)) {
  await t.test(`${name} writes nothing`, async (t) => {
    const server = await openTestServer(t, { open: false })
    const push = { authorization: await bearer(server.token({ actions: ['push'], repository: REPO })) }
    const online = async (role: string) => (await server.get(`/v2/${REPO}/_trust/tuf/${role}.key`, push)).statusCode
    t.same([await online('timestamp'), await online('snapshot')], [200, 200])
    const { deps } = server.services
    const owner = await newOwner(
      { timestamp: await deps.online.offer(REPO, 'timestamp'), snapshot: await deps.online.offer(REPO, 'snapshot') },
      server.clock.now,
    )
    t.equal((await server.publish(await signBoth(owner), { headers: push })).statusCode, 200)
    setTag(owner, server.clock.now, 'x', 'evil')
    const upload = multipart({ targets: await signTargets(owner) })
    const authorization = await header(server)
    const headers = authorization === undefined ? {} : { authorization }
    const [before, tokens] = [await everythingOf(server, REPO), await deps.store.tokens.list()]
    const keys = await deps.store.keys.list(REPO, 'snapshot')
    const WRITES = [
      {
        method: 'POST',
        url: `/v2/${REPO}/_trust/tuf/`,
        payload: upload.payload,
        headers: { ...upload.headers, ...headers },
      },
      { method: 'POST', url: `/v2/${REPO}/_trust/tuf/snapshot.key`, headers },
      { method: 'GET', url: `/v2/${REPO}/_trust/tuf/timestamp.key`, headers },
      { method: 'POST', url: '/v1/tokens', payload: ADMIN_ONLY, headers },
      { method: 'DELETE', url: '/v1/tokens/boss', headers },
    ] as const
    for (const request of WRITES) {
      const answer = await server.app.inject(request)
      t.match(answer.json(), { errors: [{ code }] }, `${request.method} ${request.url}`)
      t.notMatch(answer.body, /tst_[A-Za-z0-9_-]{20}/, 'no token in the answer')
    }
    t.same(await everythingOf(server, REPO), before)
    t.same(await deps.store.keys.list(REPO, 'snapshot'), keys)
    t.same((await deps.store.tokens.list()).length, tokens.length)
  })
}

await t.test('a push token cannot make itself an administrator, nor end one', async (t) => {
  const server = await openTestServer(t, { open: false })
  const headers = { authorization: await bearer(server.token({ actions: ['push'], repository: '**' })) }
  const made = await server.app.inject({ method: 'POST', url: '/v1/tokens', payload: ADMIN_ONLY, headers })
  const ended = await server.app.inject({ method: 'DELETE', url: '/v1/tokens/boss', headers })
  t.same([made.statusCode, ended.statusCode], [403, 403])
})
