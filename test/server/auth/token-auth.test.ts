import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { libtrustId } from '../../../keys/libtrust.ts'
import { readBundle } from '../../../keys/native/certificates.ts'
import type { NewToken } from '../../../server/auth/tokens.ts'
import { openTestServer, REPO } from '../support/app.ts'
import type { TestServer } from '../support/app.ts'
import { run } from '../support/process.ts'
import { basic, bearer, claimsOf, scope, tokenFor } from '../support/access.ts'

const OTHER = 'registry.example.com:5000/other/app'
const FEED = '/v2/_trust/changefeed?records=0'
const KEY = `/v2/${REPO}/_trust/tuf/snapshot.key`

await t.test('/v2/ says where access tokens are had, to whoever brings none', async (t) => {
  const server = await openTestServer(t, { open: false })
  const secret = await server.token({})
  const refused = await server.get('/v2/', { host: 'trust.example.com' })
  t.equal(refused.statusCode, 401)
  t.equal(
    refused.headers['www-authenticate'],
    'Bearer realm="https://trust.example.com/token",service="tagseal-server",scope="registry:catalog:*"',
  )
  t.match(refused.json(), { errors: [{ code: 'UNAUTHORIZED', message: String, detail: {} }] })
  t.ok(refused.body.length < 1024, 'notary reads no more of it')
  const anybody = await tokenFor(server, { scope: [scope(REPO, 'pull')] })
  for (const known of [bearer(secret), bearer(anybody)]) {
    const answer = await server.get('/v2/', known)
    t.same([answer.statusCode, answer.body], [200, '{}'])
  }
  t.equal((await server.get('/v2/', basic(secret))).statusCode, 401, 'a password belongs to /token')
  t.equal((await server.get('/v2')).statusCode, 404)
})

await t.test('/v2/ says 200 to everybody where nobody has to be known', async (t) => {
  const server = await openTestServer(t, { open: true })
  t.same([(await server.get('/v2/')).statusCode, (await server.get('/v2/')).body], [200, '{}'])
})

const REALMS: Record<string, { settings: object; host: string | undefined; realm: string }> = {
  'the name that was used, with TLS in front': {
    settings: {},
    host: 'trust.example.com:8443',
    realm: 'https://trust.example.com:8443/token',
  },
  'this machine, without TLS': { settings: {}, host: '127.0.0.1:4480', realm: 'http://127.0.0.1:4480/token' },
  'this machine by IPv6': { settings: {}, host: '[::1]:4480', realm: 'http://[::1]:4480/token' },
  'the setting, whatever name was used': {
    settings: { tokenRealm: 'https://id.example.com/token' },
    host: 'trust.example.com',
    realm: 'https://id.example.com/token',
  },
  'plain http, where the operator asked for that twice': {
    settings: { tokenRealm: 'http://trust.lan:4480/token', plainHttp: true },
    host: 'trust.lan:4480',
    realm: 'http://trust.lan:4480/token',
  },
  'no name that would end the quotes': {
    settings: {},
    host: 'a",realm="https://evil',
    realm: 'http://127.0.0.1:4480/token',
  },
  'no name that is a path': { settings: {}, host: 'evil.example/x', realm: 'http://127.0.0.1:4480/token' },
}
for (const [name, { settings, host, realm }] of Object.entries(REALMS)) {
  await t.test(`the realm is ${name}`, async (t) => {
    const server = await openTestServer(t, { open: false, ...settings })
    const answer = await server.get('/v2/', {
      ...(host === undefined ? {} : { host }),
      'x-forwarded-host': 'evil.example',
    })
    t.match(answer.headers['www-authenticate'], `Bearer realm="${realm}",`)
  })
}

for (const [name, value] of [
  ['tokenRealm', 'http://id.example.com/token'],
  ['tokenRealm', 'https://a"b/token'],
  ['tokenRealm', 'token'],
  ['tokenService', 'a "service"'],
  ['tokenServices', 'registry='],
  ['tokenLifetime', 59],
] as const) {
  await t.test(`refuses to start with ${name} ${value}`, async (t) => {
    await t.rejects(openTestServer(t, { [name]: value }), { code: 'SETTING_INVALID', detail: { name } })
  })
}

type Wish = { readonly holder?: Partial<NewToken>; readonly asks: string; readonly gets: readonly string[] }
const WISHES: Record<string, Wish> = {
  'anybody, to read': { asks: scope(REPO, 'pull'), gets: [scope(REPO, 'pull')] },
  'anybody, to publish': { asks: scope(REPO, 'push,pull'), gets: [scope(REPO, 'pull')] },
  'anybody, everything': { asks: scope(REPO, '*'), gets: [scope(REPO, 'pull')] },
  'a reader, to publish': { holder: { actions: ['pull'] }, asks: scope(REPO, 'push'), gets: [] },
  'a publisher': { holder: { actions: ['push'] }, asks: scope(REPO, 'push,pull'), gets: [scope(REPO, 'push,pull')] },
  'a publisher, everything': {
    holder: { actions: ['push'] },
    asks: scope(REPO, '*'),
    gets: [scope(REPO, 'push,pull')],
  },
  'an administrator, everything': { holder: { actions: ['admin'] }, asks: scope(REPO, '*'), gets: [scope(REPO, '*')] },
  'a publisher of something else': {
    holder: { actions: ['push'], repository: 'registry.example.com/team/app2' },
    asks: scope(REPO, 'push'),
    gets: [],
  },
  'a publisher of several': {
    holder: { actions: ['push'], repository: 'registry.example.com:5000/**' },
    asks: `${scope(REPO, 'push')} ${scope(OTHER, 'push,delete,wish')}`,
    gets: [scope(OTHER, 'push')],
  },
  'an administrator of all, the catalogue': {
    holder: { actions: ['admin'] },
    asks: 'registry:catalog:*',
    gets: ['registry:catalog:*'],
  },
  'an administrator of some, the catalogue': {
    holder: { actions: ['admin'], repository: 'registry.example.com/**' },
    asks: 'registry:catalog:* registry:other:* plugin:x:*',
    gets: [],
  },
  'nothing at all, to see whether it is known': { holder: { actions: ['push'] }, asks: '', gets: [] },
}
for (const [name, { holder, asks, gets }] of Object.entries(WISHES)) {
  await t.test(`an access token for ${name}: ${gets.join(' ') || 'grants nothing'}`, async (t) => {
    const server = await openTestServer(t, { open: false })
    const secret = holder === undefined ? undefined : await server.token({ name: 'holder', ...holder })
    const url = `/token?account=somebody&service=tagseal-server&scope=${encodeURIComponent(asks)}`
    const answer = await server.get(url, secret === undefined ? {} : basic(secret))
    t.equal(answer.statusCode, 200, answer.body)
    t.equal(answer.headers['cache-control'], 'no-store')
    const { token, access_token, expires_in, issued_at } = answer.json<Record<string, string>>()
    t.equal(token, access_token)
    t.same([expires_in, issued_at], [300, new Date(server.clock.now).toISOString()])
    const { access, ...claims } = claimsOf(String(token))
    t.same(
      access.map(({ type, name, actions }) => `${type}:${name}:${actions.join(',')}`),
      gets,
    )
    const now = server.clock.now / 1000
    t.match(claims, {
      iss: 'tagseal-server',
      aud: 'tagseal-server',
      sub: secret === undefined ? '' : 'holder',
      exp: now + 300,
      nbf: now,
      iat: now,
      jti: /^[0-9a-f.]{32,}$/,
    })
  })
}

await t.test('the user name may be any, for the secret decides', async (t) => {
  const server = await openTestServer(t, { open: false })
  const secret = await server.token({ name: 'ci' })
  for (const user of ['ci', 'somebody', '', 'a:b'.slice(0, 1)]) {
    const { token } = (await server.get(`/token?account=${user}`, basic(secret, user))).json<{ token: string }>()
    t.equal(claimsOf(token).sub, 'ci')
  }
})

await t.test('a form gives the same, by password or refresh token', async (t) => {
  const server = await openTestServer(t, { open: false })
  const secret = await server.token({ name: 'ci' })
  const post = (fields: Record<string, string>, type = 'application/x-www-form-urlencoded') =>
    server.app.inject({
      method: 'POST',
      url: '/token',
      payload: type.endsWith('json') ? JSON.stringify(fields) : new URLSearchParams(fields).toString(),
      headers: { 'content-type': type },
    })
  const common = { service: 'tagseal-server', client_id: 'docker', scope: scope(REPO, 'push,pull') }
  for (const form of [
    { grant_type: 'password', username: 'x', password: secret, access_type: 'offline', ...common },
    { grant_type: 'refresh_token', refresh_token: secret, ...common },
  ]) {
    const answer = await post(form)
    t.equal(answer.statusCode, 200, answer.body)
    t.match(claimsOf(answer.json<{ access_token: string }>().access_token), { sub: 'ci', access: [{ name: REPO }] })
    t.equal((await post(form, 'application/json')).statusCode, 415)
  }
  const REFUSED: readonly [number, Record<string, string>][] = [
    [401, { grant_type: 'password', username: 'x', password: 'wrong' }],
    [401, { grant_type: 'password', username: 'x' }],
    [401, { grant_type: 'refresh_token', password: secret }],
    [400, { grant_type: 'authorization_code', code: secret }],
    [400, { password: secret }],
  ]
  for (const [status, form] of REFUSED) t.equal((await post(form)).statusCode, status, JSON.stringify(form))
  const twice = await server.app.inject({
    method: 'POST',
    url: '/token',
    payload: `grant_type=password&password=x&password=${secret}`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  t.equal(twice.statusCode, 400)
})

const CREDENTIALS: Record<string, (secret: string) => string> = {
  'a secret that was never made': () => basic(`tst_${'A'.repeat(43)}`).authorization,
  'a password of their own choice': () => basic('hunter2').authorization,
  'an empty password': () => basic('').authorization,
  'no colon': () => `Basic ${Buffer.from('abc').toString('base64')}`,
  'no base64': () => 'Basic ???',
  'a Bearer token': (secret) => `Bearer ${secret}`,
  'a secret with something after it': (secret) => basic(`${secret}x`).authorization,
  'two kilobytes': () => basic('x'.repeat(2000)).authorization,
}
for (const [name, make] of Object.entries(CREDENTIALS)) {
  await t.test(`/token refuses ${name}`, async (t) => {
    const server = await openTestServer(t, { open: false })
    const answer = await server.get(`/token?scope=${scope(REPO, 'pull')}`, {
      authorization: make(await server.token({})),
    })
    t.equal(answer.statusCode, 401)
    t.equal(answer.headers['www-authenticate'], 'Basic realm="tagseal"')
    t.match(answer.json(), { errors: [{ code: 'UNAUTHORIZED' }] })
  })
}

await t.test('/token issues for the services that are named, in their own words', async (t) => {
  const settings = { tokenServices: 'peers, registry=registry.example.com, open', tokenPublicServices: 'open' }
  const server = await openTestServer(t, { open: false, ...settings })
  const secret = await server.token({ actions: ['push'], repository: 'registry.example.com/team/*' })
  const ask = async (service: string, name: string, header = {}) => {
    const answer = await server.get(`/token?service=${service}&scope=${scope(name, 'pull,push')}`, header)
    return answer.statusCode === 200 ? claimsOf(answer.json<{ token: string }>().token) : answer.statusCode
  }
  const full = [{ type: 'repository', actions: ['pull', 'push'] }]
  t.match(await ask('peers', REPO, basic(secret)), { aud: 'peers', access: full })
  t.match(await ask('registry', 'team/app', basic(secret)), {
    aud: 'registry',
    access: [{ name: 'team/app', actions: ['pull', 'push'] }],
  })
  t.match(await ask('registry', 'other/app', basic(secret)), { access: [] })
  t.match(await ask('registry', 'team/app'), { access: [] }, 'anybody pulls from a registry only where that is said')
  t.match(await ask('open', 'team/app'), { access: [{ actions: ['pull'] }] })
  t.equal(await ask('elsewhere', REPO, basic(secret)), 400)
})

type Ask = { readonly method: 'GET' | 'POST' | 'DELETE'; readonly url: string }
async function statusOf(server: TestServer, { method, url }: Ask, headers: Record<string, string>): Promise<number> {
  return (await server.app.inject({ method, url, headers })).statusCode
}

await t.test('an access token allows what it grants, to the very repository', async (t) => {
  const server = await openTestServer(t, { open: false, private: true })
  const secret = await server.token({ actions: ['admin'] })
  const HELD: Record<
    string,
    { grants: string; read: number; key: number; list: number; feed?: number; remove?: number }
  > = {
    nothing: { grants: '', read: 401, key: 401, list: 401 },
    'to read': { grants: scope(REPO, 'pull'), read: 404, key: 401, list: 401 },
    'to publish': { grants: scope(REPO, 'push,pull'), read: 404, key: 200, list: 401 },
    everything: { grants: scope(REPO, '*'), read: 404, key: 200, list: 200, remove: 200 },
    'everything elsewhere': { grants: scope(OTHER, '*'), read: 401, key: 401, list: 200 },
    'the catalogue': { grants: 'registry:catalog:*', read: 401, key: 401, list: 200, feed: 200 },
  }
  for (const [name, { grants, read, key, list, feed = 401, remove = 401 }] of Object.entries(HELD)) {
    await t.test(name, async (t) => {
      const headers = bearer(await tokenFor(server, { secret, scope: [grants] }))
      t.equal(await statusOf(server, { method: 'GET', url: `/v2/${REPO}/_trust/tuf/root.json` }, headers), read)
      t.equal(await statusOf(server, { method: 'GET', url: KEY }, headers), key)
      t.equal(await statusOf(server, { method: 'POST', url: KEY }, headers), key)
      t.equal(await statusOf(server, { method: 'GET', url: '/v1/repositories' }, headers), list)
      t.equal(await statusOf(server, { method: 'GET', url: FEED }, headers), feed)
      t.equal(await statusOf(server, { method: 'DELETE', url: `/v2/${REPO}/_trust/tuf/` }, headers), remove)
      for (const url of ['/v1/tokens', '/v1/audit']) {
        t.equal(await statusOf(server, { method: 'GET', url }, headers), 401, `${url} is for tokens of the store`)
      }
    })
  }
})

await t.test('the catalogue shows all names to whoever holds it', async (t) => {
  const dir = t.testdir()
  const open = await openTestServer({ teardown: () => undefined }, { data: dir })
  await open.create([], REPO)
  await open.services.close()
  const server = await openTestServer(t, { open: false, data: dir })
  const secret = await server.token({ actions: ['admin'] })
  const headers = bearer(await tokenFor(server, { secret, scope: ['registry:catalog:*'] }))
  t.match((await server.get('/v1/repositories', headers)).json(), { repositories: [{ name: REPO }] })
})

const CHALLENGES: Record<string, Ask & { readonly scope: string }> = {
  'reading the changes of all repositories': { method: 'GET', url: FEED, scope: 'registry:catalog:*' },
  'deleting the repository': { method: 'DELETE', url: `/v2/${REPO}/_trust/tuf/`, scope: scope(REPO, '*') },
  'reading a file': { method: 'GET', url: `/v2/${REPO}/_trust/tuf/root.json`, scope: scope(REPO, 'pull') },
  'asking for a key': { method: 'GET', url: KEY, scope: scope(REPO, 'push,pull') },
  'asking for another key': { method: 'POST', url: KEY, scope: scope(REPO, '*') },
  publishing: { method: 'POST', url: `/v2/${REPO}/_trust/tuf/`, scope: scope(REPO, 'push,pull') },
}
for (const [name, { scope: wanted, ...ask }] of Object.entries(CHALLENGES)) {
  await t.test(`${name} without the right to is answered with the scope it takes`, async (t) => {
    const server = await openTestServer(t, { open: false, private: true })
    const narrow = bearer(await tokenFor(server, { secret: await server.token({}), scope: [scope(OTHER, '*')] }))
    const FAULTS: readonly [Record<string, string>, string][] = [
      [{}, ''],
      [narrow, ',error="insufficient_scope"'],
      [bearer('a.b.c'), ',error="invalid_token"'],
      [bearer(`tst_${'A'.repeat(43)}`), ',error="invalid_token"'],
    ]
    for (const [headers, fault] of FAULTS) {
      const answer = await server.app.inject({ ...ask, headers: { ...headers, host: 'h' } })
      t.equal(answer.statusCode, 401)
      t.equal(
        answer.headers['www-authenticate'],
        `Bearer realm="https://h/token",service="tagseal-server",scope="${wanted}"${fault}`,
      )
    }
  })
}

await t.test('whoever publishes with an access token is known by the name of the token behind it', async (t) => {
  const server = await openTestServer(t, { open: false })
  const secret = await server.token({ name: 'ci', actions: ['push'] })
  const headers = bearer(await tokenFor(server, { secret, scope: [scope(REPO, '*')] }))
  t.equal(await statusOf(server, { method: 'POST', url: KEY }, headers), 200)
  t.match(await server.services.deps.store.audit.list({ limit: 1 }), [{ action: 'key.renew', actor: 'ci' }])
})

await t.test('an access token ends with its time, and at once with the token behind it', async (t) => {
  const server = await openTestServer(t, { open: false })
  const secret = await server.token({ name: 'ci' })
  const use = async (headers: Record<string, string>) => await statusOf(server, { method: 'GET', url: KEY }, headers)
  const wanted = { secret, scope: [scope(REPO, 'push')] }
  const first = bearer(await tokenFor(server, wanted))
  t.equal(await use(first), 200)
  server.clock.now += 331_000
  t.equal(await use(first), 401, 'five minutes, and half a minute for clocks that differ')
  const second = bearer(await tokenFor(server, wanted))
  t.equal(await use(second), 200)
  const { id } = (await server.services.deps.store.tokens.list())[0] ?? { id: '' }
  await server.services.deps.store.tokens.revoke(id, server.clock.now, { at: 1, action: 'x', subject: 'x' })
  t.equal(await use(second), 401)
  const brief = await server.token({ name: 'brief', expiresAt: server.clock.now + 10_000 })
  const third = bearer(await tokenFor(server, { ...wanted, secret: brief }))
  server.clock.now += 10_000
  t.equal(await use(third), 401)
})

await t.test("servers on one storage know each other's access tokens, and so after a restart", async (t) => {
  const data = t.testdir()
  const [first, second] = [
    await openTestServer(t, { open: false, data }),
    await openTestServer(t, { open: false, data }),
  ]
  const secret = await first.token({})
  const wanted = { secret, scope: [scope(REPO, 'push')] }
  const [one, two] = await Promise.all([tokenFor(first, wanted), tokenFor(second, wanted)])
  for (const server of [first, second, await openTestServer(t, { open: false, data })]) {
    for (const token of [one, two]) {
      t.equal(await statusOf(server, { method: 'GET', url: KEY }, bearer(token)), 200)
    }
  }
})

await t.test('the certificate that the command line prints is the one that the server signs under', async (t) => {
  const data = t.testdir()
  const before = await run(['token', 'certificate', '--data', data])
  t.match(before, { code: 0, stdout: /^-----BEGIN CERTIFICATE-----\n[\s\S]+-----END CERTIFICATE-----\n$/ })
  const server = await openTestServer(t, { open: false, data })
  t.equal(await server.services.deps.issuer.certificate(), before.stdout)
  t.equal((await run(['token', 'certificate', '--data', data])).stdout, before.stdout, 'also while the server runs')
  const [header = ''] = (await tokenFor(server, {})).split('.')
  const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as { kid: string }
  const [key] = readBundle(before.stdout, 'it').keys
  t.equal(kid, libtrustId(key?.spki ?? new Uint8Array()))
})

await t.test(
  'once the signing key is renewed, what the old one signed counts no more, on a running server',
  async (t) => {
    const data = t.testdir()
    const server = await openTestServer(t, { open: false, data })
    const wanted = { secret: await server.token({}), scope: [scope(REPO, 'push')] }
    const old = bearer(await tokenFor(server, wanted))
    t.equal(await statusOf(server, { method: 'GET', url: KEY }, old), 200)
    const certificate = await server.services.deps.issuer.certificate()
    const renewed = await run(['token', 'certificate', '--renew', '--data', data])
    t.match(renewed, { code: 0, stdout: /^-----BEGIN CERTIFICATE-----/ })
    t.not(renewed.stdout, certificate)
    t.equal(await statusOf(server, { method: 'GET', url: KEY }, old), 401)
    t.equal(await statusOf(server, { method: 'GET', url: KEY }, bearer(await tokenFor(server, wanted))), 200)
    t.equal(await server.services.deps.issuer.certificate(), renewed.stdout)
    const entries = await server.services.deps.store.audit.list({ limit: 10 })
    t.match(entries[0], { action: 'key.renew', subject: 'access tokens', actor: 'command line' })
  },
)

await t.test('the certificate is not made anew where the key-encryption key is gone', async (t) => {
  const data = t.testdir()
  await run(['token', 'certificate', '--data', data])
  await rm(join(data, 'kek'))
  t.match(await run(['token', 'certificate', '--data', data]), { code: 2, stdout: '', stderr: /KEK_NEEDED/ })
})

await t.test('a private server gives anybody an access token that grants nothing', async (t) => {
  const data = t.testdir()
  const open = await openTestServer(t, { open: false, data })
  const before = await tokenFor(open, { scope: [scope(REPO, 'pull')] })
  const server = await openTestServer(t, { open: false, private: true, data })
  t.same(claimsOf(await tokenFor(server, { scope: [scope(REPO, 'pull')] })).access, [])
  t.equal(await statusOf(server, { method: 'GET', url: `/v2/${REPO}/_trust/tuf/root.json` }, bearer(before)), 401)
})

await t.test('whoever guesses is slowed down, and nobody else', async (t) => {
  const server = await openTestServer(t, { open: false })
  const secret = await server.token({})
  const guess = async () => (await server.get('/token', basic(`tst_${'A'.repeat(43)}`))).statusCode
  const answers = await Promise.all(Array.from({ length: 40 }, guess))
  t.same(
    [answers.filter((status) => status === 401).length, answers.filter((status) => status === 429).length],
    [30, 10],
  )
  t.equal((await server.get('/token', basic(secret))).statusCode, 200)
  server.clock.now += 60_000
  t.equal(await guess(), 401)
})
