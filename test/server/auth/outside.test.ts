import type { KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { SignJWT, calculateJwkThumbprint } from 'jose'
import type { JWTHeaderParameters } from 'jose'
import t from 'tap'
import type { Test } from 'tap'
import { libtrustId } from '../../../keys/libtrust.ts'
import { generateKey } from '../../../keys/native/generate.ts'
import { readBundle } from '../../../keys/native/certificates.ts'
import { outsideCheck } from '../../../server/auth/outside.ts'
import { certify } from '../../support/chain.ts'
import type { Certified } from '../../support/chain.ts'
import { whyNoOpenssl } from '../../support/tls.ts'
import { basic, bearer } from '../support/access.ts'
import { openTestServer, REPO } from '../support/app.ts'
import type { TestServer } from '../support/app.ts'

const KEY = `/v2/${REPO}/_trust/tuf/snapshot.key`
const ISSUER = 'https://id.example.com'
const OUTSIDE = { open: false, tokenIssuer: ISSUER, tokenRealm: `${ISSUER}/token` }
const ACCESS = [{ type: 'repository', name: REPO, actions: ['pull', 'push'] }]
const NOW = Date.now() + 60_000 // openssl's certificates begin when they are made

type Header = Omit<Partial<JWTHeaderParameters>, 'x5c' | 'jwk'> & { readonly x5c?: unknown; readonly jwk?: unknown }

/** What the issuer makes for a publisher, but for these members. */
async function made(key: KeyObject, header: Header, claims: object = {}): Promise<string> {
  const now = Math.floor(NOW / 1000)
  const usual = { iss: ISSUER, aud: 'tagseal-server', sub: 'alice', exp: now + 300, nbf: now, access: ACCESS }
  const whole = { alg: 'ES256', ...header } as JWTHeaderParameters
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader(whole).sign(key, { crit: { x: true } })
}

async function statusOf(server: TestServer, jwt: string): Promise<number> {
  return (await server.app.inject({ method: 'POST', url: KEY, headers: bearer(jwt) })).statusCode
}

const skip = (await whyNoOpenssl()) ?? false
if (typeof skip === 'string') t.pass(skip, { skip })
else await outside(t.testdir())

async function outside(dir: string): Promise<void> {
  const authority = certify(dir, { constraints: 'critical,CA:TRUE' })
  const [signer, rsa, stranger] = [certify(dir), certify(dir, { rsa: true }), certify(dir)]
  const certified = certify(dir, { issuer: authority })
  const bundle = join(dir, 'bundle.pem')
  writeFileSync(bundle, [authority, signer, rsa].map(({ pem }) => pem).join(''))
  const facts = ({ pem }: Certified) => readBundle(pem, 'it').keys[0] ?? { spki: new Uint8Array(), jwk: {} }
  const kid = libtrustId(facts(signer).spki)
  const thumbprint = await calculateJwkThumbprint(facts(signer).jwk)
  const chain = (...each: readonly Certified[]) => each.map(({ der }) => der.toString('base64'))
  const clock = { now: NOW }

  await t.test('with certificates', async (t) => {
    const server = await openTestServer(t, { ...OUTSIDE, tokenCertificates: bundle }, clock)
    const rsaKid = libtrustId(facts(rsa).spki)
    const now = Math.floor(NOW / 1000)
    const TOKENS: Record<string, { by: Certified; header: Header; claims?: object; status: number }> = {
      "its key by libtrust's name": { by: signer, header: { kid }, status: 200 },
      'its key by its thumbprint': { by: signer, header: { kid: thumbprint }, status: 200 },
      'its key in the header': { by: signer, header: { jwk: facts(signer).jwk }, status: 200 },
      'its certificate in the header': { by: signer, header: { x5c: chain(signer) }, status: 200 },
      'a certificate that leads to the bundle': { by: certified, header: { x5c: chain(certified) }, status: 200 },
      'an RSA key': { by: rsa, header: { alg: 'RS256', kid: rsaKid }, status: 200 },
      'several audiences': { by: signer, header: { kid }, claims: { aud: ['x', 'tagseal-server'] }, status: 200 },
      'a clock a little ahead': { by: signer, header: { kid }, claims: { nbf: now + 20 }, status: 200 },
      'no name of a key': { by: signer, header: {}, status: 401 },
      'a name that nobody has': { by: signer, header: { kid: `${kid}A` }, status: 401 },
      "the name of another's key": { by: stranger, header: { kid }, status: 401 },
      'a key that is brought along': { by: stranger, header: { jwk: facts(stranger).jwk }, status: 401 },
      'a key that is brought along under a trusted name': {
        by: stranger,
        header: { jwk: { ...facts(stranger).jwk, kid }, kid },
        status: 401,
      },
      'a certificate that is brought along': { by: stranger, header: { x5c: chain(stranger), kid }, status: 401 },
      'a trusted certificate behind their own': { by: stranger, header: { x5c: chain(stranger, signer) }, status: 401 },
      'an algorithm that does not fit the key': { by: rsa, header: { alg: 'RS256', kid }, status: 401 },
      'another issuer': { by: signer, header: { kid }, claims: { iss: 'https://evil.example' }, status: 401 },
      'another audience': { by: signer, header: { kid }, claims: { aud: 'registry' }, status: 401 },
      'no audience': { by: signer, header: { kid }, claims: { aud: undefined }, status: 401 },
      'no end': { by: signer, header: { kid }, claims: { exp: undefined }, status: 401 },
      'an end in the past': { by: signer, header: { kid }, claims: { exp: now - 31 }, status: 401 },
      'a beginning in the future': { by: signer, header: { kid }, claims: { nbf: now + 60 }, status: 401 },
      'something critical that we do not know': { by: signer, header: { kid, crit: ['x'], x: 1 }, status: 401 },
      'no access': { by: signer, header: { kid }, claims: { access: undefined }, status: 401 },
      'access that is no list': { by: signer, header: { kid }, claims: { access: { '0': ACCESS[0] } }, status: 401 },
      'access to something else': {
        by: signer,
        header: { kid },
        claims: { access: [{ ...ACCESS[0], name: `${REPO}2` }] },
        status: 401,
      },
      'more entries than anybody has': {
        by: signer,
        header: { kid },
        claims: { access: Array.from({ length: 257 }, () => ({ type: 'a', name: 'b', actions: [] })) },
        status: 401,
      },
    }
    for (const [name, { by, header, claims = {}, status }] of Object.entries(TOKENS)) {
      await t.test(`${status === 200 ? 'accepts' : 'refuses'} ${name}`, async (t) => {
        const jwt = await made(by.key, header, claims).catch((error: unknown) => String(error))
        t.match(jwt, /^eyJ/, 'the attacker can make it')
        t.equal(await statusOf(server, jwt), status)
      })
    }
    const [entry] = await server.services.deps.store.audit.list({ limit: 1 })
    t.equal(entry?.actor, 'jwt:alice', 'a name there is not taken for a name here')
    t.equal(await statusOf(server, await server.token({})), 200, 'tokens of the store go on working')
    t.equal((await server.get('/token', basic(await server.token({})))).statusCode, 404, 'we issue none of our own')
    const challenge = (await server.get('/v2/')).headers['www-authenticate']
    t.match(challenge, `Bearer realm="${ISSUER}/token",service="tagseal-server"`)
  })

  await t.test('an access token of our own does not count where the issuer is outside', async (t) => {
    const data = t.testdir()
    const own = await openTestServer(t, { open: false, data }, clock)
    const { token } = (await own.get(`/token?scope=repository:${REPO}:push`, basic(await own.token({})))).json<{
      token: string
    }>()
    t.equal(await statusOf(own, token), 200)
    t.equal(await statusOf(await openTestServer(t, { ...OUTSIDE, tokenCertificates: bundle, data }, clock), token), 401)
  })

  const { jwk } = facts(signer)
  const set = JSON.stringify({ keys: [{ ...jwk, kid: 'k1', use: 'sig', alg: 'ES256' }] })
  await t.test('with a key set in a file', async (t) => {
    const tokenJwks = join(dir, 'keys.json')
    writeFileSync(tokenJwks, set)
    const server = await openTestServer(t, { ...OUTSIDE, tokenJwks }, clock)
    t.equal(await statusOf(server, await made(signer.key, { kid: 'k1' })), 200)
    t.equal(await statusOf(server, await made(signer.key, { kid: 'k2' })), 401)
    t.equal(await statusOf(server, await made(stranger.key, { kid: 'k1' })), 401)
  })

  type Answers = { answer: RequestListener; status: number }
  const ANSWERS: Record<string, Answers> = {
    'the keys': { answer: (_request, response) => response.end(set), status: 200 },
    'an error': { answer: (_request, response) => response.writeHead(500).end(), status: 503 },
    'another place': {
      answer: ({ url }, response) =>
        url === '/keys' ? response.writeHead(302, { location: '/there' }).end() : response.end(set),
      status: 503,
    },
    'more than anybody has': {
      answer: (_request, response) => response.end(set.replace('{', `{"x":"${'x'.repeat(300_000)}",`)),
      status: 503,
    },
    'no keys': { answer: (_request, response) => response.end('<html>'), status: 503 },
    'nothing at all': { answer: (request) => request.socket.destroy(), status: 503 },
  }
  for (const [name, { answer, status }] of Object.entries(ANSWERS)) {
    await t.test(`with an address that answers ${name}: ${status}`, async (t) => {
      const { url, asked } = await serve(t, answer)
      const server = await openTestServer(t, { ...OUTSIDE, tokenJwks: `${url}/keys` }, clock)
      t.equal(await statusOf(server, await made(signer.key, { kid: 'k1' })), status)
      if (status !== 200) return
      for (let i = 0; i < 5; i++) t.equal(await statusOf(server, await made(signer.key, { kid: `x${i}` })), 401)
      t.equal(asked(), 1, 'unknown names do not make us ask again and again')
    })
  }

  const SETTINGS: Record<string, { settings: object; code: string }> = {
    'plain http beyond this machine': {
      settings: { tokenJwks: 'http://id.example.com/keys' },
      code: 'SETTING_INVALID',
    },
    'two kinds of keys': { settings: { tokenJwks: bundle, tokenCertificates: bundle }, code: 'SETTING_INVALID' },
    'no realm': { settings: { tokenCertificates: bundle, tokenRealm: undefined }, code: 'SETTING_MISSING' },
    'no issuer': { settings: { tokenCertificates: bundle, tokenIssuer: undefined }, code: 'SETTING_MISSING' },
    'no such file': { settings: { tokenCertificates: join(dir, 'none') }, code: 'CONFIG_UNREADABLE' },
    'a file of something else': { settings: { tokenJwks: bundle }, code: 'CONFIG_UNREADABLE' },
    'a private key': { settings: { tokenCertificates: signer.files.key }, code: 'CONFIG_UNREADABLE' },
    'a key set that is none': { settings: { tokenJwks: join(dir, 'none.json') }, code: 'CONFIG_UNREADABLE' },
  }
  writeFileSync(join(dir, 'none.json'), '{"keys":{}}')
  for (const [name, { settings, code }] of Object.entries(SETTINGS)) {
    await t.test(`refuses to start with ${name}`, async (t) => {
      await t.rejects(openTestServer(t, { ...OUTSIDE, ...settings }), { code })
    })
  }

  await t.test('whatever a header or its claims are, the answer is a refusal', async (t) => {
    const server = await openTestServer(t, { ...OUTSIDE, tokenCertificates: bundle }, clock)
    const check = outsideCheck(server.settings, () => clock.now)
    const part = (value: unknown) => Buffer.from(JSON.stringify(value) ?? '').toString('base64url')
    const headers = fc.record(
      {
        alg: fc.constantFrom('ES256', 'RS256', 'EdDSA'),
        x5c: fc.jsonValue(),
        jwk: fc.jsonValue(),
        kid: fc.jsonValue(),
      },
      { requiredKeys: ['alg'] },
    )
    await fc.assert(
      fc.asyncProperty(headers, fc.jsonValue(), fc.string(), async (header, claims, signature) => {
        const jwt = [part(header), part(claims), Buffer.from(`${signature}x`).toString('base64url')].join('.')
        await check?.(jwt).then(
          () => t.fail(`accepted ${jwt}`),
          (error: { code?: string }) => {
            if (error.code !== 'UNAUTHORIZED') throw error
          },
        )
      }),
    )
  })

  await t.test('an Ed25519 key signs as well', async (t) => {
    const secret = await generateKey('ed25519')
    const pkcs8 = secret.lend((bytes) => Uint8Array.from(bytes))
    const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign'])
    const { kty, crv, x } = await crypto.subtle.exportKey('jwk', key)
    const tokenJwks = join(dir, 'ed25519.json')
    writeFileSync(tokenJwks, JSON.stringify({ keys: [{ kty, crv, x, kid: 'e' }] }))
    const server = await openTestServer(t, { ...OUTSIDE, tokenJwks }, clock)
    const jwt = await new SignJWT({ access: ACCESS, iss: ISSUER, aud: 'tagseal-server', exp: NOW / 1000 + 60 })
      .setProtectedHeader({ alg: 'EdDSA', kid: 'e' })
      .sign(key)
    t.equal(await statusOf(server, jwt), 200)
  })
}

async function serve(
  t: Test,
  listener: RequestListener,
): Promise<{ readonly url: string; readonly asked: () => number }> {
  let count = 0
  const server = createServer((request, response) => {
    count++
    listener(request, response)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { url: `http://127.0.0.1:${address.port}`, asked: () => count }
}
