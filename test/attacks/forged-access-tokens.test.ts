/** Access tokens that somebody forged, kept, carried elsewhere, or would like to say more than they do. */
import { createHmac, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import t from 'tap'
import { readPem } from '../../keys/pem.ts'
import { readBundle } from '../../keys/native/certificates.ts'
import { basic, bearer, claimsOf, scope, tokenFor } from '../server/support/access.ts'
import { openTestServer, REPO } from '../server/support/app.ts'
import type { TestServer } from '../server/support/app.ts'

const OTHER = 'registry.example.com/team/other'
const keyUrl = (repository: string) => `/v2/${repository}/_trust/tuf/snapshot.key`
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const open = (jwt: string, index: 0 | 1) =>
  JSON.parse(Buffer.from(jwt.split('.')[index] ?? '', 'base64url').toString('utf8')) as Record<string, unknown>

/** What an attacker has: a good token to read, and everything that is public. */
type Loot = { readonly server: TestServer; readonly good: string; readonly certificate: string }
type Forge = (loot: Loot) => Promise<string> | string

const MORE = [{ type: 'repository', name: REPO, actions: ['*'] }]
/** The good one's claims with more rights in them, under this header and signature. */
function forged({ good }: Loot, header: object, signature: (text: string) => string, claims: object = {}): string {
  const text = `${part({ ...open(good, 0), ...header })}.${part({ ...open(good, 1), access: MORE, ...claims })}`
  return `${text}.${signature(text)}`
}
const hmac = (key: string | Uint8Array) => (text: string) => createHmac('sha256', key).update(text).digest('base64url')
const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const byOwn = (text: string) =>
  sign('sha256', Buffer.from(text), { key: own.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
const spkiOf = ({ certificate }: Loot) => readBundle(certificate, 'it').keys[0]?.spki ?? new Uint8Array()
const pem = (spki: Uint8Array) =>
  `-----BEGIN PUBLIC KEY-----\n${(
    Buffer.from(spki)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')}\n-----END PUBLIC KEY-----\n`

const FORGERIES: Record<string, Forge> = {
  'no algorithm and no signature': (loot) => forged(loot, { alg: 'none' }, () => ''),
  'no algorithm and some signature': (loot) => forged(loot, { alg: 'none' }, () => 'AAAA'),
  'no algorithm in other letters': (loot) => forged(loot, { alg: 'nOnE' }, () => 'AAAA'),
  'the public key taken for a shared secret, as PEM': (loot) => forged(loot, { alg: 'HS256' }, hmac(pem(spkiOf(loot)))),
  'the public key taken for a shared secret, as DER': (loot) => forged(loot, { alg: 'HS256' }, hmac(spkiOf(loot))),
  'the certificate taken for a shared secret': (loot) => forged(loot, { alg: 'HS256' }, hmac(loot.certificate)),
  'the certificate in DER taken for a shared secret': (loot) =>
    forged(loot, { alg: 'HS256' }, hmac(readPem(loot.certificate, 'CERTIFICATE'))),
  'more rights under the old signature': (loot) => forged(loot, {}, () => loot.good.split('.')[2] ?? ''),
  'a signature by a key of their own': (loot) => forged(loot, {}, byOwn),
  'their own key in the header': (loot) => forged(loot, { jwk: own.publicKey.export({ format: 'jwk' }) }, byOwn),
  'their own key at an address': (loot) => forged(loot, { jku: 'http://127.0.0.1:1/keys', kid: undefined }, byOwn),
  'our certificate above their own signature': (loot) =>
    forged(loot, { x5c: [Buffer.from(readPem(loot.certificate, 'CERTIFICATE')).toString('base64')] }, byOwn),
  'a name of a key that is a path': (loot) => forged(loot, { kid: '../../../dev/null' }, byOwn),
  'the signature of all zeros': (loot) => forged(loot, {}, () => Buffer.alloc(64).toString('base64url')),
  'the signature in DER': (loot) =>
    forged(loot, {}, (text) => sign('sha256', Buffer.from(text), own.privateKey).toString('base64url')),
  'a good token with a letter after it': ({ good }) => `${good}A`,
  'a good token in a good token': ({ good }) => `${good}.${good}`,
  'a megabyte': ({ good }) => `${good.split('.')[0] ?? ''}.${'A'.repeat(14_000)}.AAAA`,
  'a token of another server': async () => {
    const other = await openTestServer(t, { open: false })
    return await tokenFor(other, { secret: await other.token({ actions: ['admin'] }), scope: [scope(REPO, '*')] })
  },
  'a token that is meant for the registry': async ({ server }) =>
    await tokenFor(server, {
      secret: await server.token({ actions: ['admin'] }),
      service: 'registry',
      scope: [scope(REPO, '*')],
    }),
  'a token for everything that has expired': async ({ server }) => {
    const token = await tokenFor(server, {
      secret: await server.token({ actions: ['admin'] }),
      scope: [scope(REPO, '*')],
    })
    server.clock.now += 331_000
    return token
  },
  'a token of a revoked token': async ({ server }) => {
    const secret = await server.token({ name: 'gone', actions: ['admin'] })
    const token = await tokenFor(server, { secret, scope: [scope(REPO, '*')] })
    await server.services.deps.store.tokens.revoke('gone', server.clock.now, { at: 1, action: 'x', subject: 'x' })
    return token
  },
}

for (const [name, forge] of Object.entries(FORGERIES)) {
  await t.test(`lets nobody in by ${name}`, async (t) => {
    const server = await openTestServer(t, { open: false, private: true, tokenServices: 'registry' })
    const secret = await server.token({ actions: ['pull'], repository: REPO })
    const good = await tokenFor(server, { secret, scope: [scope(REPO, 'pull')] })
    t.equal((await server.get(`/v2/${REPO}/_trust/tuf/root.json`, bearer(good))).statusCode, 404, 'it is good')
    const certificate = await server.services.deps.issuer.certificate()
    const token = await forge({ server, good, certificate })
    const WAYS = [
      { method: 'GET', url: `/v2/${REPO}/_trust/tuf/root.json` },
      { method: 'GET', url: keyUrl(REPO) },
      { method: 'POST', url: keyUrl(REPO) },
      { method: 'POST', url: `/v2/${REPO}/_trust/tuf/` },
      { method: 'GET', url: '/v1/tokens' },
      { method: 'GET', url: '/v2/' },
    ] as const
    for (const way of WAYS) {
      const answer = await server.app.inject({ ...way, headers: bearer(token) })
      t.equal(answer.statusCode, 401, `${way.method} ${way.url}`)
      t.match(answer.headers['www-authenticate'], /error="invalid_token"/)
    }
    t.same(await server.services.deps.store.keys.list(REPO, 'snapshot'), [])
  })
}

await t.test('an access token in which one letter is another one is none', async (t) => {
  const server = await openTestServer(t, { open: false })
  const secret = await server.token({ actions: ['push'] })
  const good = await tokenFor(server, { secret, scope: [scope(REPO, 'push')] })
  t.equal((await server.get(keyUrl(REPO), bearer(good))).statusCode, 200)
  // The last letter has bits that mean nothing.
  for (let at = 0; at < good.length - 1; at++) {
    const changed = `${good.slice(0, at)}${good[at] === 'A' ? 'B' : 'A'}${good.slice(at + 1)}`
    const { statusCode } = await server.get(keyUrl(REPO), bearer(changed))
    if (statusCode !== 401) t.fail(`${at}: ${statusCode}`)
  }
})

await t.test('a stolen signing key is no key to more than live tokens may do', async (t) => {
  const server = await openTestServer(t, { open: false })
  const reader = await server.token({ name: 'reader', actions: ['pull'] })
  const { deps } = server.services
  const issue = async (holder: { id: string; name: string }) =>
    (await deps.issuer.issue({ holder, service: 'tagseal-server', access: MORE })).token
  const [record] = await deps.store.tokens.list()
  const widened = await issue({ id: record?.id ?? '', name: 'reader' })
  t.ok(claimsOf(widened).access.length > 0 && reader.length > 0)
  t.equal((await server.get(keyUrl(REPO), bearer(widened))).statusCode, 401)
  t.equal((await server.get(keyUrl(REPO), bearer(await issue({ id: 'nobody', name: 'boss' })))).statusCode, 401)
})

/** For a token that may do everything, to OTHER alone or to what the pattern says. */
const NAMES: Record<string, string> = {
  'a name that begins alike': `${OTHER}2`,
  'a name below it': `${OTHER}/deeper`,
  'the name above it': 'registry.example.com/team',
  'the name in capitals': OTHER.toUpperCase(),
  'the name on another port': 'registry.example.com:5000/team/other',
  'the name with another host before it': `evil.example/${OTHER}`,
  'another repository': REPO,
}
await t.test('an access token for one repository opens no other', async (t) => {
  const server = await openTestServer(t, { open: false })
  const secret = await server.token({ actions: ['admin'] })
  const headers = bearer(await tokenFor(server, { secret, scope: [scope(OTHER, '*')] }))
  t.equal((await server.get(keyUrl(OTHER), headers)).statusCode, 200)
  for (const [name, repository] of Object.entries(NAMES)) {
    const answer = await server.get(keyUrl(repository), headers)
    t.equal(answer.statusCode, 401, name)
    t.match(answer.headers['www-authenticate'], `scope="${scope(repository, 'push,pull')}",error="insufficient_scope"`)
  }
  const SPELLINGS = [
    `${OTHER}/../app`,
    `${OTHER}%2F..%2Fapp`,
    `${OTHER}/%2e%2e/app`,
    'registry.example.com%2Fteam%252Fapp',
    `${OTHER}%00`,
    `${OTHER}/`,
    `${OTHER}//`,
    `${OTHER}%3A5000`,
    `${OTHER}%0d%0aX: y`,
    `${OTHER}/_trust/tuf/x/../../../app`,
    `${REPO}/_trust/tuf/root.json/../../${OTHER}`,
    `%72egistry.example.com/team/app`,
  ]
  for (const spelling of SPELLINGS) {
    const answer = await server.get(keyUrl(spelling), headers)
    t.ok([400, 401, 404].includes(answer.statusCode), `${spelling}: ${answer.statusCode}`)
  }
  t.equal((await server.get(keyUrl(OTHER.replaceAll('/', '%2F')), headers)).statusCode, 200, 'notary may write it so')
  for (const repository of [REPO, ...Object.values(NAMES)]) {
    t.same(await server.services.deps.store.keys.list(repository, 'snapshot'), [], repository)
  }
})

const WISHES: Record<string, string> = {
  'another repository beside it': `${scope(OTHER, 'pull')} ${scope(REPO, 'push')}`,
  'a pattern': scope('**', 'push'),
  'a pattern of its team': scope('registry.example.com/team/*', 'push'),
  'actions in the name': scope(`${OTHER}:push,${REPO}`, 'push'),
  'a name that climbs': scope(`${OTHER}/../app`, 'push'),
  'the repository in capitals': scope(REPO.toUpperCase(), 'push'),
  'a class of their own': `repository(x):${REPO}:push`,
  'the catalogue': 'registry:catalog:*',
  everything: 'registry:*:*',
}
for (const [name, wish] of Object.entries(WISHES)) {
  await t.test(`a token for one repository gets nothing for ${name}`, async (t) => {
    const server = await openTestServer(t, { open: false })
    const secret = await server.token({ actions: ['push'], repository: OTHER })
    const { access } = claimsOf(await tokenFor(server, { secret, scope: [wish] }))
    t.same(
      access.filter(({ name: granted }) => granted !== OTHER),
      [],
    )
    const headers = bearer(await tokenFor(server, { secret, scope: [wish] }))
    t.equal((await server.get(keyUrl(REPO), headers)).statusCode, 401)
  })
}

const GIANTS: Record<string, string> = {
  'a thousand scopes': Array.from({ length: 1000 }, (_, i) => `scope=repository:a/${i}:pull`).join('&'),
  'a thousand scopes in one': `scope=${Array.from({ length: 1000 }, (_, i) => `repository:a/${i}:pull`).join('+')}`,
  'one endless name': `scope=repository:${'a'.repeat(9000)}:pull`,
  'one scope with endless actions': `scope=repository:a/b:${'pull,'.repeat(2000)}pull`,
  'an endless service': `service=${'a'.repeat(2000)}`,
}
for (const [name, query] of Object.entries(GIANTS)) {
  await t.test(`/token refuses ${name}, in the address and in a form`, async (t) => {
    const server = await openTestServer(t, { open: false })
    const secret = await server.token({})
    const started = performance.now()
    t.equal((await server.get(`/token?${query}`, basic(secret))).statusCode, 400)
    const form = await server.app.inject({
      method: 'POST',
      url: '/token',
      payload: `grant_type=password&password=${secret}&${query}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    t.equal(form.statusCode, 400)
    t.ok(performance.now() - started < 500)
  })
}

await t.test('a private key is not to be had from the one that signs', async (t) => {
  const server = await openTestServer(t, { open: false })
  const certificate = await server.services.deps.issuer.certificate()
  t.throws(() => createPrivateKey(certificate))
  const kept = await server.services.deps.store.settings.get('token key')
  t.notOk(Buffer.from(kept ?? []).includes(Buffer.from([0x02, 0x01, 0x01, 0x04, 0x20])), 'no EC private key in it')
})
