import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { acceptsGzip, matchesEtag } from '../../../server/serve/conditional.ts'
import { parseFileName } from '../../../server/serve/file-name.ts'
import { rewriteUrl } from '../../../server/serve/rewrite-url.ts'
import { openTestServer, REPO } from '../support/app.ts'
import { setTag, signTargets } from '../support/party.ts'

const FOREVER = 'public, max-age=31536000, immutable'
const base = `/v2/${REPO}/_trust/tuf`

await t.test('every kind of file is found, with the caching it can bear', async (t) => {
  const server = await openTestServer(t)
  await server.create()
  const sha256 = (await server.get(`/v1/repositories/${REPO}`))
    .json<{ roles: { role: string; sha256: string }[] }>()
    .roles.find(({ role }) => role === 'targets')?.sha256
  const kinds: Record<string, string> = {
    'root.json': 'no-cache',
    'timestamp.json': 'no-cache',
    'snapshot.json': 'no-cache',
    'targets.json': 'no-cache',
    '1.root.json': FOREVER,
    '1.timestamp.json': FOREVER,
    '1.snapshot.json': FOREVER,
    '1.targets.json': FOREVER,
    [`targets.${sha256}.json`]: FOREVER,
  }
  for (const [file, caching] of Object.entries(kinds)) {
    for (const repository of [REPO, REPO.replaceAll('/', '%2F')]) {
      const answer = await server.get(`/v2/${repository}/_trust/tuf/${file}`)
      t.equal(answer.statusCode, 200, `${repository} ${file}`)
      t.equal(answer.headers['cache-control'], caching)
      t.equal(answer.headers['content-type'], 'application/json')
      t.equal(answer.headers['content-length'], String(answer.rawPayload.length))
      t.match(answer.headers.etag, /^"[0-9a-f]{64}"$/)
      t.match(answer.headers['x-request-id'], /./)
    }
  }
})

await t.test('who asks for the next root is told of the timestamp along with it, if they wish', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const along = { 'x-tagseal-along': 'timestamp.json' }
  const next = async () => await server.app.inject({ url: `${base}/2.root.json`, headers: along })
  for (const how of ['as it is found', 'as it is known']) {
    const [timestamp, answer] = [await server.get(`${base}/timestamp.json`), await next()]
    t.equal(answer.statusCode, 404, how)
    t.equal(answer.body, timestamp.body, `the same timestamp ${how}`)
    t.equal(answer.headers['x-tagseal-along'], `timestamp.json;sha256=${(timestamp.headers.etag ?? '').slice(1, -1)}`)
    t.equal(answer.headers['cache-control'], 'no-store')
    t.equal(answer.headers.vary, 'x-tagseal-along')
  }
  const before = await next()
  setTag(owner, server.clock.now, 'x', 'x')
  await server.publish({ targets: await signTargets(owner) })
  t.not((await next()).body, before.body, 'and after a publish the new one')
  t.match((await server.get(`${base}/2.root.json`)).body, 'METADATA_NOT_FOUND', 'and who does not wish, is not')
})

const MISSING = [
  '2.root.json',
  '0.root.json',
  '01.root.json',
  'releases.json',
  'root',
  'root.json.json',
  `targets.${'0'.repeat(64)}.json`,
  '99999999999999999999.root.json',
  '%2e%2e%2froot.json',
  '..%2f..%2fetc%2fpasswd.json',
  '__proto__.json',
  'constructor.json',
  '.json',
  '%00.json',
]
await t.test('what is not there is 404 with a code', async (t) => {
  const server = await openTestServer(t)
  await server.create()
  for (const file of MISSING) {
    const answer = await server.get(`${base}/${file}`)
    t.equal(answer.statusCode, 404, file)
    t.match(answer.json(), { errors: [{ code: 'METADATA_NOT_FOUND' }] })
    t.equal(answer.headers['cache-control'], 'no-store')
  }
  t.equal((await server.get('/v2/registry.example.com/nothing/_trust/tuf/root.json')).statusCode, 404)
  t.match((await server.get('/v3/')).json(), { errors: [{ code: 'NOT_FOUND' }] })
  t.match((await server.get(`${base}/%zz`)).json(), { errors: [{ code: 'INVALID_REQUEST' }] })
})

for (const repository of ['-a', 'a//b', 'a b', 'ä', 'x'.repeat(256), 'a/../b', '.git']) {
  await t.test(`refuses the repository name ${repository.slice(0, 20)}`, async (t) => {
    const server = await openTestServer(t)
    const answer = await server.get(`/v2/${encodeURIComponent(repository)}/_trust/tuf/root.json`)
    t.equal(answer.statusCode, 400, answer.body)
    t.match(answer.json(), { errors: [{ code: /INVALID_RE(?:POSITORY|QUEST)/ }] })
  })
}
for (const repository of [
  'docker.io/library/alpine',
  '127.0.0.1:5000/Team/app',
  '[2001:db8::1]:5000/a',
  'localhost/x',
]) {
  await t.test(`serves the repository ${repository}`, async (t) => {
    const server = await openTestServer(t)
    await server.create([], repository)
    t.equal((await server.get(`/v2/${repository}/_trust/tuf/root.json`)).statusCode, 200)
    t.equal((await server.get(`/v1/repositories/${encodeURIComponent(repository)}`)).statusCode, 200)
  })
}

await t.test('a reader that has the file is told so', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const first = await server.get(`${base}/timestamp.json`)
  const etag = String(first.headers.etag)
  for (const header of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const answer = await server.get(`${base}/timestamp.json`, { 'if-none-match': header })
    t.equal(answer.statusCode, 304, header)
    t.equal(answer.body, '')
    t.equal(answer.headers.etag, etag)
    t.equal(answer.headers['cache-control'], 'no-cache')
  }
  setTag(owner, server.clock.now, 'x', 'x')
  await server.publish({ targets: await signTargets(owner) })
  const changed = await server.get(`${base}/timestamp.json`, { 'if-none-match': etag })
  t.equal(changed.statusCode, 200)
  t.not(changed.headers.etag, etag)
})

await t.test('HEAD says what GET would', async (t) => {
  const server = await openTestServer(t)
  await server.create()
  const get = await server.get(`${base}/targets.json`)
  const head = await server.app.inject({ method: 'HEAD', url: `${base}/targets.json` })
  t.equal(head.statusCode, 200)
  t.equal(head.body, '')
  for (const name of ['etag', 'content-length', 'cache-control', 'content-type']) {
    t.equal(head.headers[name], get.headers[name], name)
  }
  t.equal((await server.app.inject({ method: 'HEAD', url: `${base}/9.root.json` })).statusCode, 404)
})

await t.test('large files are compressed for those who can read that', async (t) => {
  const server = await openTestServer(t)
  await server.create(Array.from({ length: 500 }, (_, i) => `tag-${i}`))
  const plain = await server.get(`${base}/targets.json`)
  const small = await server.get(`${base}/targets.json`, { 'accept-encoding': 'br, gzip' })
  t.equal(plain.headers['content-encoding'], undefined)
  t.equal(small.headers['content-encoding'], 'gzip')
  t.same(gunzipSync(small.rawPayload), plain.rawPayload)
  t.ok(small.rawPayload.length < plain.rawPayload.length)
  t.equal(small.headers['content-length'], String(small.rawPayload.length))
  t.not(small.headers.etag, plain.headers.etag, 'other bytes, another tag')
  t.equal(small.headers.vary, 'accept-encoding')
  t.equal(plain.headers.vary, 'accept-encoding')
  const again = { 'accept-encoding': 'gzip', 'if-none-match': String(small.headers.etag) }
  t.equal((await server.get(`${base}/targets.json`, again)).statusCode, 304)
  const tiny = await server.get(`${base}/timestamp.json`, { 'accept-encoding': 'gzip' })
  t.equal(tiny.headers['content-encoding'], undefined)
})

await t.test('a cache that holds nothing serves the same', async (t) => {
  const server = await openTestServer(t, { cacheBytes: 0, workCacheBytes: 0 })
  const owner = await server.create(Array.from({ length: 100 }, (_, i) => `tag-${i}`))
  setTag(owner, server.clock.now, 'x', 'x')
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  const answer = await server.get(`${base}/targets.json`, { 'accept-encoding': 'gzip' })
  t.same(answer.rawPayload, Buffer.from(await signTargets(owner)))
})

await t.test('a small cache forgets, and serves the same', async (t) => {
  const server = await openTestServer(t, { cacheBytes: 8192 })
  const names = Array.from({ length: 12 }, (_, i) => `r.example.com/app-${i}`)
  for (const name of names) await server.create([], name)
  for (const name of [...names, ...names]) {
    t.equal((await server.get(`/v2/${name}/_trust/tuf/timestamp.json`)).statusCode, 200)
  }
})

await t.test('private answers may be kept by nobody in between', async (t) => {
  const server = await openTestServer(t, { private: true })
  await server.create()
  const caching: Record<string, string> = {
    [`${base}/1.root.json`]: FOREVER.replace('public', 'private'),
    [`${base}/root.json`]: 'private, no-cache',
    [`/v1/repositories/${REPO}`]: 'private, no-cache',
    [`/v1/repositories/${REPO}/history?tag=1.0`]: 'private, no-cache',
  }
  for (const [url, expected] of Object.entries(caching)) {
    t.equal((await server.get(url)).headers['cache-control'], expected, url)
  }
})

await t.test("a caller's request id is kept where it is harmless", async (t) => {
  const server = await openTestServer(t)
  t.equal((await server.get('/v2/', { 'x-request-id': 'ci-17' })).headers['x-request-id'], 'ci-17')
  for (const id of ['a b', 'x'.repeat(65), '"}', '']) {
    t.not((await server.get('/v2/', { 'x-request-id': id })).headers['x-request-id'], id)
  }
})

await t.test('what nobody foresaw tells its request id and nothing else', async (t) => {
  const server = await openTestServer(t)
  await server.services.deps.store.close()
  const answer = await server.get(`/v1/repositories/${REPO}`)
  t.ok(answer.statusCode === 500 || answer.statusCode === 503)
  t.notOk(/\bat \w|sqlite|\.ts/i.test(answer.body), answer.body)
})

const FILES: readonly [string, object | undefined][] = [
  ['root.json', { role: 'root' }],
  ['12.root.json', { role: 'root', version: 12 }],
  ['3.targets/a.b.json', { role: 'targets/a.b', version: 3 }],
  [`snapshot.${'a'.repeat(64)}.json`, { role: 'snapshot', sha256: 'a'.repeat(64) }],
  [`snapshot.${'A'.repeat(64)}.json`, { role: `snapshot.${'A'.repeat(64)}` }],
  ['root', undefined],
  ['.json', undefined],
  ['9007199254740991.root.json', { role: 'root', version: Number.MAX_SAFE_INTEGER }],
  ['9007199254740992.root.json', undefined],
]
for (const [file, wanted] of FILES) {
  await t.test(`reads the file name ${file.slice(0, 30)}`, async (t) => t.same(parseFileName(file), wanted))
}

const URLS: readonly [string, string][] = [
  ['/v2/a/b/_trust/tuf/root.json', '/v2/a%2Fb/_trust/tuf/root.json'],
  ['/v2/a%2Fb/_trust/tuf/targets/x.json?a=b/c', '/v2/a%2Fb/_trust/tuf/targets%2Fx.json?a=b/c'],
  ['/v2/a/b/_trust/tuf/', '/v2/a%2Fb/_trust/tuf/'],
  ['/v2/a/b?x=/_trust/tuf/', '/v2/a/b?x=/_trust/tuf/'],
  ['http://trust.example.com/v2/a/b/_trust/tuf/root.json', '/v2/a%2Fb/_trust/tuf/root.json'],
  ['HTTPS://trust.example.com:4480/v1/repositories/a/b?x', '/v1/repositories/a%2Fb?x'],
  ['http://trust.example.com', '/'],
  ['http://trust.example.com?x', '/?x'],
  ['/v2/', '/v2/'],
  ['/v1/repositories/a/b', '/v1/repositories/a%2Fb'],
  ['/v1/repositories/a/b/history?tag=x/y', '/v1/repositories/a%2Fb/history?tag=x/y'],
  ['/v1/repositories?limit=1', '/v1/repositories?limit=1'],
]
for (const [url, rewritten] of URLS) {
  await t.test(`routes ${url}`, async (t) => t.equal(rewriteUrl(url), rewritten))
}

await t.test('headers of conditional and compressed requests are read by their grammar', async (t) => {
  t.notOk(matchesEtag(undefined, '"a"'))
  t.notOk(matchesEtag('"b", W/"c"', '"a"'))
  t.ok(acceptsGzip('gzip') && acceptsGzip('br;q=1.0, GZIP;q=0.5') && acceptsGzip('*'))
  t.notOk(
    acceptsGzip(undefined) || acceptsGzip('') || acceptsGzip('gzip;q=0') || acceptsGzip('*;q=0') || acceptsGzip('br'),
  )
  t.notOk(acceptsGzip('*, gzip;q=0.000'))
})
