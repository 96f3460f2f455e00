import t from 'tap'
import type { Action } from '../../../server/storage/store.ts'
import { openTestServer, REPO } from '../support/app.ts'
import { multipart } from '../support/party.ts'

const OTHER = 'registry.example.com/other/app'

type Ask = { readonly method: 'GET' | 'POST' | 'DELETE'; readonly url: string; readonly needs: Action | 'admin of all' }
const ASKS: readonly Ask[] = [
  { method: 'GET', url: `/v2/${REPO}/_trust/tuf/timestamp.json`, needs: 'pull' },
  { method: 'GET', url: `/v1/repositories/${REPO}`, needs: 'pull' },
  { method: 'GET', url: `/v1/repositories/${REPO}/history?tag=x`, needs: 'pull' },
  { method: 'GET', url: `/v1/repositories/${REPO}/_changes?since=2026-01-01T00:00:00Z`, needs: 'push' },
  { method: 'GET', url: `/v1/repositories/${REPO}/_sightings`, needs: 'push' },
  { method: 'GET', url: `/v2/${REPO}/_trust/tuf/timestamp.key`, needs: 'push' },
  { method: 'POST', url: `/v2/${REPO}/_trust/tuf/snapshot.key`, needs: 'push' },
  { method: 'POST', url: `/v2/${REPO}/_trust/tuf/`, needs: 'push' },
  { method: 'GET', url: '/v1/repositories', needs: 'admin' },
  { method: 'GET', url: '/v1/tokens', needs: 'admin of all' },
  { method: 'POST', url: '/v1/tokens', needs: 'admin of all' },
  { method: 'DELETE', url: '/v1/tokens/nobody', needs: 'admin of all' },
  { method: 'GET', url: '/v1/audit', needs: 'admin of all' },
]

type Holder = {
  readonly repository?: string
  readonly actions?: readonly Action[]
  readonly may: readonly Ask['needs'][]
}
const HOLDERS: Record<string, Holder> = {
  'no token': { may: [] },
  'a token to pull here': { repository: REPO, actions: ['pull'], may: ['pull'] },
  'a token to push here': { repository: REPO, actions: ['push'], may: ['pull', 'push'] },
  'a token to administer here': { repository: REPO, actions: ['admin'], may: ['pull', 'push', 'admin'] },
  'a token to pull and push elsewhere': { repository: OTHER, actions: ['pull', 'push'], may: [] },
  'a token to administer everything': {
    repository: '**',
    actions: ['admin'],
    may: ['pull', 'push', 'admin', 'admin of all'],
  },
}

await t.test('who may do what, on a private server', async (t) => {
  const server = await openTestServer(t, { open: false, private: true })
  for (const [holder, { repository, actions, may }] of Object.entries(HOLDERS)) {
    const token = repository === undefined ? undefined : await server.token({ repository, actions: actions ?? [] })
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    for (const { method, url, needs } of ASKS) {
      await t.test(`${holder}: ${method} ${url}`, async (t) => {
        const body = url === '/v1/tokens' && method === 'POST' ? { payload: {} } : {}
        const upload = url.endsWith('/tuf/') ? multipart({}) : { headers: {} }
        const answer = await server.app.inject({
          method,
          url,
          ...body,
          ...upload,
          headers: { ...upload.headers, ...headers },
        })
        if (may.includes(needs))
          return void t.not(answer.statusCode === 401 || answer.statusCode === 403, true, answer.body)
        // A body is looked at after the right to send one, or before it: neither tells anything about what is there.
        if (answer.statusCode === 400 && method === 'POST' && url === '/v1/tokens') return
        t.equal(answer.statusCode, token === undefined ? 401 : 403, answer.body)
        t.match(answer.json(), { errors: [{ code: token === undefined ? 'UNAUTHORIZED' : 'DENIED' }] })
        if (token === undefined)
          t.match(
            answer.headers['www-authenticate'],
            /^Bearer realm="https?:\/\/[^"]+\/token",service="tagseal-server"/,
          )
      })
    }
  }
})

await t.test('reading needs no token where the server is not private', async (t) => {
  const server = await openTestServer(t, { open: false })
  t.equal((await server.get(`/v2/${REPO}/_trust/tuf/root.json`)).statusCode, 404)
  t.equal((await server.get(`/v1/repositories/${REPO}`)).statusCode, 404)
  t.equal((await server.get('/v2/')).statusCode, 401, 'and yet old clients are told where tokens are had')
})

const WRONG: Record<string, (good: string) => string> = {
  'one that was never made': () => `Bearer tst_${'A'.repeat(43)}`,
  'one letter changed': (good) => `Bearer ${good.slice(0, -2)}${good.at(-2) === 'A' ? 'B' : 'A'}${good.at(-1)}`,
  'its hash': () => `Bearer ${'0'.repeat(64)}`,
  'another scheme': (good) => `Basic ${good}`,
  'nothing after Bearer': () => 'Bearer ',
  'two tokens': (good) => `Bearer ${good} ${good}`,
  'a megabyte': () => `Bearer ${'x'.repeat(10_000)}`,
}
for (const [name, make] of Object.entries(WRONG)) {
  await t.test(`refuses as a token ${name}`, async (t) => {
    const server = await openTestServer(t, { open: false })
    const authorization = make(await server.token({ actions: ['admin'] }))
    for (const url of ['/v1/tokens', `/v2/${REPO}/_trust/tuf/timestamp.key`, '/v2/']) {
      const answer = await server.get(url, { authorization })
      t.equal(answer.statusCode, 401, url)
    }
  })
}

await t.test('a token ends when it expires, and at once when it is revoked', async (t) => {
  const server = await openTestServer(t, { open: false })
  const url = `/v2/${REPO}/_trust/tuf/timestamp.key`
  const short = { authorization: `Bearer ${await server.token({ expiresAt: server.clock.now + 1000 })}` }
  t.equal((await server.get(url, short)).statusCode, 200)
  server.clock.now += 1000
  t.equal((await server.get(url, short)).statusCode, 401)
  const long = { authorization: `Bearer ${await server.token({ name: 'long' })}` }
  t.equal((await server.get(url, long)).statusCode, 200)
  const admin = { authorization: `Bearer ${await server.token({ actions: ['admin'] })}` }
  t.equal((await server.app.inject({ method: 'DELETE', url: '/v1/tokens/long', headers: admin })).statusCode, 204)
  t.equal((await server.get(url, long)).statusCode, 401)
  const again = await server.app.inject({ method: 'DELETE', url: '/v1/tokens/long', headers: admin })
  t.equal(again.statusCode, 404)
})

await t.test('tokens are made and listed over HTTP, their secret shown once and kept nowhere', async (t) => {
  const server = await openTestServer(t, { open: false })
  const admin = { authorization: `Bearer ${await server.token({ name: 'boss', actions: ['admin'] })}` }
  const wanted = {
    name: 'ci',
    repository: 'registry.example.com/team/*',
    actions: ['push'],
    expiresAt: '2027-01-01T00:00:00Z',
  }
  const made = await server.app.inject({ method: 'POST', url: '/v1/tokens', payload: wanted, headers: admin })
  t.equal(made.statusCode, 201, made.body)
  const { token } = made.json<{ token: string }>()
  t.equal(made.headers['cache-control'], 'no-store')
  const used = await server.get(`/v2/${REPO}/_trust/tuf/timestamp.key`, { authorization: `Bearer ${token}` })
  t.equal(used.statusCode, 200)
  await server.services.deps.auth.flush()
  const listed = await server.get('/v1/tokens', admin)
  t.match(listed.json(), {
    tokens: [{ name: 'boss' }, { ...wanted, expiresAt: '2027-01-01T00:00:00.000Z', lastUsedAt: /2026/ }],
  })
  t.notOk(listed.body.includes(token.slice(4)) || listed.body.includes('hash'))
  const twice = await server.app.inject({ method: 'POST', url: '/v1/tokens', payload: wanted, headers: admin })
  t.match(twice.json(), { errors: [{ code: 'NAME_TAKEN' }] })
  t.match((await server.get('/v1/audit', admin)).json(), {
    entries: [{ action: 'token.create', actor: 'boss', subject: 'ci' }, {}],
  })
})

const MALFORMED: Record<string, object> = {
  'no name': { repository: '**', actions: ['pull'] },
  'a name with a line break': { name: 'a\nb', repository: '**', actions: ['pull'] },
  'no actions': { name: 'a', repository: '**', actions: [] },
  'an action that does not exist': { name: 'a', repository: '**', actions: ['fly'] },
  'a pattern that covers nothing': { name: 'a', repository: 'a b', actions: ['pull'] },
  'an expiry that is past': { name: 'a', repository: '**', actions: ['pull'], expiresAt: '2001-01-01' },
  'an expiry that is no date': { name: 'a', repository: '**', actions: ['pull'], expiresAt: 'soon' },
  'a member nobody knows': { name: 'a', repository: '**', actions: ['pull'], scope: 'all' },
  'a number for a name': { name: 1, repository: '**', actions: ['pull'] },
}
for (const [name, payload] of Object.entries(MALFORMED)) {
  await t.test(`makes no token with ${name}`, async (t) => {
    const server = await openTestServer(t)
    const answer = await server.app.inject({ method: 'POST', url: '/v1/tokens', payload })
    t.match(answer.json(), { errors: [{ code: 'INVALID_REQUEST' }] })
    t.same(await server.services.deps.store.tokens.list(), [])
  })
}

await t.test('administrators of a part see that part', async (t) => {
  const server = await openTestServer(t, { open: true })
  await server.create([], REPO)
  await server.create([], OTHER)
  const closed = await openTestServer(t, { open: false })
  t.equal((await closed.get('/v1/repositories')).statusCode, 401)
  const page = (await server.get('/v1/repositories?limit=1')).json<{ repositories: { name: string }[]; next: string }>()
  t.match(page, { repositories: [{ name: OTHER }], next: OTHER })
  t.match((await server.get(`/v1/repositories?limit=1&after=${OTHER}`)).json(), { repositories: [{ name: REPO }] })
  t.same((await server.get(`/v1/repositories?after=${REPO}`)).json(), { repositories: [] })
})
