import { readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { type Credential, type Credentials, Secret } from '../../../client/registry/credentials.ts'
import { type ImageReference, parseImage } from '../../../client/registry/reference.ts'
import { openRegistry, type Registry } from '../../../client/registry/registry.ts'
import type { RegistrySettings } from '../../../client/registry/settings.ts'
import {
  answerError,
  challenge,
  type HostileRegistry,
  type Lie,
  redirect,
  startHostileRegistry,
  when,
} from '../../support/hostile-registry.ts'
import { buildImage } from '../../support/images.ts'
import { basic } from '../../support/registry.ts'
import { makeCertificate, whyNoOpenssl } from '../../support/tls.ts'

const IMAGE = buildImage()
const ANN = { username: 'ann', password: 'hunter2' }
const LOGIN: Credential = { kind: 'basic', username: 'ann', password: new Secret('hunter2') }
const IDENTITY: Credential = { kind: 'identity', token: new Secret('refresh-me') }
const V2 = /^\/v2\/team/
const TOKEN = /^\/token/

const noOpenssl = await whyNoOpenssl()
const server = await startHostileRegistry()
const elsewhere = await startHostileRegistry()
t.teardown(() => Promise.all([server.close(), elsewhere.close()]))
server.serve(IMAGE, '1.0')
elsewhere.serve(IMAGE, '1.0')

const as = (login?: Credential): Credentials => ({ find: async () => login })

function open(t: Test, settings: RegistrySettings = {}): Registry {
  const limits = { idleMs: 500, requestMs: 2000, ...settings.limits }
  const registry = openRegistry({ plainHttp: true, sleep: async () => {}, ...settings, limits })
  t.teardown(() => registry.close())
  return registry
}

const image = (at: HostileRegistry = server): ImageReference => parseImage(`${at.host}/team/app:1.0`)
const bearer = (realm: string, more = '') =>
  `Bearer realm="${realm}",service="reg, istry",scope="repository:team/app:pull"${more}`
const tokens = (answer: object = { token: 'T1' }): Lie =>
  when(TOKEN, (_, response) => response.end(JSON.stringify(answer)))
const sentTo = (registry: HostileRegistry, path: RegExp) => registry.asked.filter((one) => path.test(one.path))
const authorizations = (registry: HostileRegistry, path: RegExp) =>
  sentTo(registry, path).map(({ headers }) => headers.authorization)

await t.test('Basic', async (t) => {
  await t.test('sends the login once the registry has asked, and from then on', async (t) => {
    server.lie(challenge(V2, 'Basic realm="a, \\"b\\""', basic(ANN)))
    const registry = open(t, { credentials: as(LOGIN) })
    t.match(await registry.resolveTag(image()), { digest: IMAGE.manifest.digest })
    await registry.blob(image(), IMAGE.config)
    t.same(authorizations(server, V2), [undefined, basic(ANN), basic(ANN)])
  })
  await t.test('without a login says how to get one', async (t) => {
    server.lie(challenge(V2, 'Basic realm=x', basic(ANN)))
    const detail = { sent: false, host: server.host }
    await t.rejects(open(t).resolveTag(image()), { code: 'UNAUTHORIZED', detail, hint: `docker login ${server.host}` })
    t.equal(server.asked.length, 1)
  })
  await t.test('with a login that is refused asks no third time, and does not show the password', async (t) => {
    server.lie(challenge(V2, 'Basic realm=x', 'Basic other'))
    const error = await t.rejects(open(t, { credentials: as(LOGIN) }).resolveTag(image()), {
      code: 'UNAUTHORIZED',
      detail: { sent: true },
    })
    t.notMatch(inspect(error, { depth: 9 }), /hunter2|aHVudGVy/)
    t.equal(server.asked.length, 2)
  })
})

await t.test('Bearer', async (t) => {
  const realm = `${server.url}/token`
  await t.test('fetches a token with the login and uses it until it ends', async (t) => {
    let now = 0
    let count = 0
    const registry = open(t, { credentials: as(LOGIN), monotonic: () => now })
    const issue: Lie = when(TOKEN, (_, response) => {
      count++
      response.end(JSON.stringify({ access_token: `T${count}`, expires_in: 300 }))
    })
    const ask: Lie = (request, response, body) =>
      challenge(V2, bearer(realm), `Bearer T${count}`)(request, response, body)
    server.lie(issue, ask)
    await registry.resolveTag(image())
    await registry.resolveTag(image())
    t.same(authorizations(server, V2), [undefined, 'Bearer T1', 'Bearer T1'])
    t.same(authorizations(server, TOKEN), [basic(ANN)])
    const { searchParams } = new URL(sentTo(server, TOKEN)[0]?.path ?? '', server.url)
    t.same(
      [...searchParams],
      [
        ['service', 'reg, istry'],
        ['scope', 'repository:team/app:pull'],
      ],
    )
    now = 295_000
    await registry.resolveTag(image())
    t.same(authorizations(server, V2).slice(3), [undefined, 'Bearer T2'], 'a token about to end is not sent')
    count = 3
    await registry.resolveTag(image())
    t.same(authorizations(server, V2).slice(5), ['Bearer T2', 'Bearer T4'], 'a token that is refused is replaced')
  })
  await t.test('fetches one for nobody where there is no login', async (t) => {
    server.lie(tokens(), challenge(V2, bearer(realm), 'Bearer T1'))
    t.ok(await open(t).resolveTag(image()))
    t.same(authorizations(server, TOKEN), [undefined])
  })
  await t.test('that is not good enough for nobody asks for a login', async (t) => {
    server.lie(tokens(), challenge(V2, bearer(realm), 'Bearer other'))
    await t.rejects(open(t).resolveTag(image()), { code: 'UNAUTHORIZED', detail: { sent: false } })
    t.equal(sentTo(server, V2).length, 2)
  })
  await t.test('sends a refresh token as a form, and nowhere else', async (t) => {
    server.lie(tokens({ access_token: 'T1', refresh_token: 'new' }), challenge(V2, bearer(realm), 'Bearer T1'))
    t.ok(await open(t, { credentials: as(IDENTITY) }).resolveTag(image()))
    const [{ method, body, path, headers } = { method: '', body: '', path: '', headers: {} }] = sentTo(server, TOKEN)
    t.match({ method, path, type: headers['content-type'] }, { method: 'POST', path: '/token', type: /urlencoded/ })
    const form = Object.fromEntries(new URLSearchParams(body))
    const expected = {
      grant_type: 'refresh_token',
      client_id: 'tagseal',
      scope: 'repository:team/app:pull',
      service: 'reg, istry',
      refresh_token: 'refresh-me',
    }
    t.same(form, expected)
  })
  await t.test('uses a token that the login itself is', async (t) => {
    server.lie(challenge(V2, bearer(realm), 'Bearer raw'))
    t.ok(await open(t, { credentials: as({ kind: 'bearer', token: new Secret('raw') }) }).resolveTag(image()))
    t.equal(sentTo(server, TOKEN).length, 0)
  })
  await t.test('is preferred to Basic, in whatever header and case it comes', async (t) => {
    server.lie(
      tokens(),
      challenge(V2, ['Negotiate', `bASIC realm=x, ${bearer(realm).replace('Bearer', 'bEARER')}`], 'Bearer T1'),
    )
    t.ok(await open(t, { credentials: as(LOGIN) }).resolveTag(image()))
  })
  await t.test('asks for one token where many requests need it', async (t) => {
    server.lie(tokens(), challenge(V2, bearer(realm), 'Bearer T1'))
    const registry = open(t, { credentials: as(LOGIN) })
    await Promise.all(Array.from({ length: 8 }, () => registry.exists(image(), 'blob', IMAGE.config)))
    t.equal(sentTo(server, TOKEN).length, 1)
  })
})

const SCOPES: Record<string, readonly [scope: string, asked: readonly string[]]> = {
  'another name of the same repository': ['repository:tenant/team/app:pull', ['repository:tenant/team/app:pull']],
  'more than reading': ['repository:team/app:pull,push,delete', ['repository:team/app:pull']],
  everything: ['repository:team/app:*', ['repository:team/app:pull']],
  'two repositories': ['repository:a:pull repository:b:pull', ['repository:a:pull', 'repository:b:pull']],
  'the catalogue': ['registry:catalog:*', ['repository:team/app:pull']],
  'only writing': ['repository:team/app:push', ['repository:team/app:pull']],
  nothing: ['', ['repository:team/app:pull']],
}

await t.test('a registry that asks for', async (t) => {
  for (const [name, [scope, asked]] of Object.entries(SCOPES)) {
    await t.test(`${name} gets a token for reading alone`, async (t) => {
      server.lie(tokens(), challenge(V2, `Bearer realm="${server.url}/token",scope="${scope}"`, 'Bearer T1'))
      await open(t, { credentials: as(LOGIN) }).resolveTag(image())
      t.same(new URL(sentTo(server, TOKEN)[0]?.path ?? '', server.url).searchParams.getAll('scope'), asked)
    })
  }
})

const TOKEN_LIES: Record<string, { readonly answer: Lie; readonly refused: string; readonly login?: Credential }> = {
  'no JSON': { answer: when(TOKEN, (_, response) => response.end('secret')), refused: 'BAD_RESPONSE' },
  'a list': { answer: when(TOKEN, (_, response) => response.end('["secret"]')), refused: 'BAD_RESPONSE' },
  'no token': { answer: tokens({ tocken: 'secret' }), refused: 'BAD_RESPONSE' },
  'a token that would end the header': { answer: tokens({ token: 'secret\r\nx-evil: 1' }), refused: 'BAD_RESPONSE' },
  'a token that is an object': { answer: tokens({ token: { secret: 1 } }), refused: 'BAD_RESPONSE' },
  'two tokens': {
    answer: when(TOKEN, (_, response) => response.end('{"token":"secret","token":"b"}')),
    refused: 'BAD_RESPONSE',
  },
  'two megabytes': { answer: tokens({ token: 'a'.repeat(2 ** 21) }), refused: 'TOO_LARGE' },
  'a refusal': {
    answer: when(TOKEN, (_, response) => answerError(response, 401, 'X', 'secret')),
    refused: 'UNAUTHORIZED',
  },
  'a refusal of the refresh token': {
    answer: when(TOKEN, (_, response) => response.writeHead(400).end('{"error":"invalid_grant"}')),
    refused: 'UNAUTHORIZED',
    login: IDENTITY,
  },
  'that it is not found': {
    answer: when(TOKEN, (_, response) => answerError(response, 404, 'X')),
    refused: 'BAD_RESPONSE',
  },
  failure: { answer: when(TOKEN, (_, response) => answerError(response, 500, 'X')), refused: 'UNAVAILABLE' },
  'that it is busy': {
    answer: when(TOKEN, (_, response) => answerError(response.setHeader('retry-after', '600'), 429, 'X')),
    refused: 'RATE_LIMITED',
  },
  silence: { answer: when(TOKEN, () => {}), refused: 'TIMEOUT' },
}

await t.test('a token service is refused that answers', async (t) => {
  for (const [name, { answer, refused, login = LOGIN }] of Object.entries(TOKEN_LIES)) {
    await t.test(name, async (t) => {
      server.lie(answer, challenge(V2, bearer(`${server.url}/token`), 'Bearer T1'))
      const error = await t.rejects(open(t, { credentials: as(login) }).resolveTag(image()), {
        name: 'RegistryError',
        code: refused,
      })
      t.notMatch(inspect(error, { depth: 9 }), /hunter2|refresh-me|secret/)
    })
  }
})

const REALMS: Record<string, string> = {
  none: '',
  'no address': 'token',
  'a file': 'file:///etc/passwd',
  'another protocol': 'gopher://127.0.0.1/',
  'a login in it': 'http://a:b@127.0.0.1/token',
  'plain http to another machine': 'http://auth.example/token',
  'the metadata service of a cloud': 'http://169.254.169.254/latest/meta-data/',
  'the same, over https': 'https://169.254.169.254/latest/meta-data/',
  'the same, written as a number': 'https://2852039166/',
  'the same, as IPv6': 'https://[::ffff:169.254.169.254]/',
  'a link-local address': 'https://[fe80::1]/',
}

await t.test('a realm is refused that is', async (t) => {
  for (const [name, realm] of Object.entries(REALMS)) {
    await t.test(name, async (t) => {
      server.lie(challenge(V2, bearer(realm), 'Bearer T1'))
      let asked = false
      const find = async () => {
        asked = true
        return LOGIN
      }
      await t.rejects(open(t, { credentials: { find } }).resolveTag(image()), {
        code: 'REALM_REFUSED',
        detail: { host: server.host },
      })
      t.notOk(asked, 'and nobody looked for a login')
    })
  }
})

await t.test('a redirect', async (t) => {
  await t.test('to another origin gets neither login nor token', async (t) => {
    server.lie(
      challenge(V2, 'Basic realm=x', basic(ANN)),
      redirect(/blobs/, `${elsewhere.url}/v2/x/blobs/${IMAGE.config.digest}?signature=abc`),
    )
    elsewhere.lie()
    const registry = open(t, { credentials: as(LOGIN) })
    await registry.blob(image(), IMAGE.config)
    t.same(authorizations(elsewhere, /./), [undefined])
    t.same(authorizations(server, /blobs/).at(-1), basic(ANN))
  })
  await t.test('there and back does not take the login up again', async (t) => {
    server.lie(challenge(/app\/blobs/, 'Basic realm=x', basic(ANN)), redirect(/app\/blobs/, `${elsewhere.url}/back`))
    elsewhere.lie(redirect(/back/, `${server.url}/v2/x/blobs/${IMAGE.config.digest}`))
    await open(t, { credentials: as(LOGIN) }).blob(image(), IMAGE.config)
    t.same(authorizations(server, /x\/blobs/), [undefined])
  })
  await t.test('within the registry keeps the login', async (t) => {
    server.lie(
      challenge(/blobs/, 'Basic realm=x', basic(ANN)),
      redirect(/app\/blobs/, `/v2/x/blobs/${IMAGE.config.digest}`),
    )
    await open(t, { credentials: as(LOGIN) }).blob(image(), IMAGE.config)
    t.same(authorizations(server, /x\/blobs/), [basic(ANN)])
  })
  await t.test('to a place that asks for a login does not get one', async (t) => {
    server.lie(redirect(/blobs/, `${elsewhere.url}/ask`))
    elsewhere.lie(challenge(/ask/, `Bearer realm="${elsewhere.url}/token"`, 'x'), tokens())
    await t.rejects(open(t, { credentials: as(LOGIN) }).blob(image(), IMAGE.config), { code: 'UNAUTHORIZED' })
    t.same(
      elsewhere.asked.map(({ path }) => path),
      ['/ask'],
    )
  })
  await t.test('is followed five times', async (t) => {
    const steps = (most: number) =>
      redirect(/blobs|step/, (request) => {
        const at = Number(/step(\d)/.exec(request.url ?? '')?.[1] ?? 0)
        return at + 1 === most ? `/v2/x/content/blobs/${IMAGE.config.digest}` : `/v2/step${at + 1}`
      })
    const until =
      (most: number): Lie =>
      (request, response, body) =>
        !/content/.test(request.url ?? '') && steps(most)(request, response, body)
    server.lie(until(5))
    await t.resolves(open(t).blob(image(), IMAGE.config))
    server.lie(until(6))
    await t.rejects(open(t).blob(image(), IMAGE.config), { code: 'REDIRECT_REFUSED', detail: { why: /more than 5/ } })
  })
  await t.test('in a circle ends', async (t) => {
    server.lie(redirect(/./, (request) => request.url ?? ''))
    await t.rejects(open(t).resolveTag(image()), { code: 'REDIRECT_REFUSED' })
    t.equal(server.asked.length, 6)
  })
  for (const [name, to] of Object.entries({ ...REALMS, 'no address': 'http://[', none: '' })) {
    await t.test(`to ${name} is refused`, async (t) => {
      server.lie(redirect(V2, to))
      await t.rejects(open(t, { credentials: as(LOGIN) }).resolveTag(image()), {
        code: 'REDIRECT_REFUSED',
        detail: { host: server.host },
      })
    })
  }
  await t.test('does not show the key in its query', async (t) => {
    server.lie(redirect(V2, 'http://storage.example/blob?X-Amz-Signature=topsecret'))
    const error = await t.rejects(open(t).resolveTag(image()), { code: 'REDIRECT_REFUSED' })
    t.notMatch(inspect(error, { depth: 9 }), /topsecret/)
  })
  await t.test('of the form with the refresh token is not followed', async (t) => {
    server.lie(redirect(TOKEN, `${elsewhere.url}/token`), challenge(V2, bearer(`${server.url}/token`), 'Bearer T1'))
    elsewhere.lie(tokens())
    await t.rejects(open(t, { credentials: as(IDENTITY) }).resolveTag(image()), { code: 'REDIRECT_REFUSED' })
    t.equal(elsewhere.asked.length, 0)
  })
  await t.test('of the question for a token loses the login', async (t) => {
    server.lie(redirect(TOKEN, `${elsewhere.url}/token`), challenge(V2, bearer(`${server.url}/token`), 'Bearer T1'))
    elsewhere.lie(tokens())
    t.ok(await open(t, { credentials: as(LOGIN) }).resolveTag(image()))
    t.same(authorizations(elsewhere, TOKEN), [undefined])
  })
})

await t.test('over TLS', { skip: noOpenssl ?? false }, async (t) => {
  const { caText, key } = await makeCertificate(t.testdir({}))
  const secure = await startHostileRegistry({ cert: caText, key: await readFile(key, 'utf8') })
  t.teardown(() => secure.close())
  secure.serve(IMAGE, '1.0')

  await t.test('a registry is trusted by the authority that was given', async (t) => {
    secure.lie()
    t.match(await open(t, { plainHttp: false, ca: caText }).resolveTag(image(secure)), {
      digest: IMAGE.manifest.digest,
    })
  })
  await t.test('a certificate of nobody we know is refused, and nothing is asked', async (t) => {
    secure.lie()
    const resolved = open(t, { plainHttp: false }).resolveTag(image(secure))
    await t.rejects(resolved, { code: 'CERTIFICATE_REFUSED', hint: /--registry-ca/ })
    t.equal(secure.asked.length, 0)
  })
  await t.test('a certificate for another name is refused', async (t) => {
    const wrong = await makeCertificate(t.testdir({}), 'DNS:other.example')
    const server = await startHostileRegistry({ cert: wrong.caText, key: await readFile(wrong.key, 'utf8') })
    t.teardown(() => server.close())
    const resolved = open(t, { plainHttp: false, ca: wrong.caText }).resolveTag(image(server))
    await t.rejects(resolved, { code: 'CERTIFICATE_REFUSED' })
  })
  await t.test('a redirect to plain http is refused, even to this machine', async (t) => {
    secure.lie(redirect(V2, `${elsewhere.url}/v2/team/app/manifests/1.0`))
    elsewhere.lie()
    const resolved = open(t, { plainHttp: false, ca: caText, credentials: as(LOGIN) }).resolveTag(image(secure))
    await t.rejects(resolved, { code: 'REDIRECT_REFUSED', detail: { why: 'it leaves https' } })
    t.equal(elsewhere.asked.length, 0)
  })
  await t.test('a realm in plain http is refused, even on this machine', async (t) => {
    secure.lie(challenge(V2, bearer(`${elsewhere.url}/token`), 'Bearer T1'))
    elsewhere.lie(tokens())
    const resolved = open(t, { plainHttp: false, ca: caText, credentials: as(LOGIN) }).resolveTag(image(secure))
    await t.rejects(resolved, { code: 'REALM_REFUSED' })
    t.equal(elsewhere.asked.length, 0)
  })
  await t.test('plain http to a registry with TLS is no login in the clear', async (t) => {
    secure.lie()
    await t.rejects(open(t, { plainHttp: true, credentials: as(LOGIN) }).resolveTag(image(secure)), {
      name: 'RegistryError',
    })
    t.equal(secure.asked.length, 0)
  })
})

await t.test('plain http', async (t) => {
  await t.test('is found out by itself for a registry on this machine, as docker does', async (t) => {
    server.lie()
    t.ok(await open(t, { plainHttp: false }).resolveTag(image()))
  })
  await t.test('to another machine is refused unless its host is named', async (t) => {
    const ref = parseImage('registry.example:5000/app:1')
    const named = { code: 'PLAIN_HTTP_REFUSED', hint: /--plain-http=registry.example:5000/ }
    await t.rejects(open(t, { plainHttp: true }).resolveTag(ref), named)
  })
  await t.test('to a host that was named with port 80, which URLs leave out, is spoken', async (t) => {
    const limits = { requestMs: 300, retries: 0 }
    const registry = openRegistry({ plainHttp: ['192.0.2.1:80'], limits })
    t.teardown(registry.close)
    await t.rejects(registry.resolveTag(parseImage('192.0.2.1:80/app:1')), { code: /^(?:UNREACHABLE|TIMEOUT)$/ })
  })
  await t.test('to a host that was named is spoken, and https to one that was not', async (t) => {
    const spoken: string[] = []
    const http = {
      send: async ({ url }: { url: URL }) => {
        spoken.push(url.origin)
        throw new Error('seen')
      },
      close() {},
    }
    const registry = open(t, { plainHttp: ['named.example:5000'], http })
    for (const host of ['named.example:5000', 'named.example', 'other.example:5000', '10.0.0.1']) {
      await t.rejects(registry.resolveTag(parseImage(`${host}/app:1`)), { message: 'seen' })
    }
    t.same(spoken, [
      'http://named.example:5000',
      'https://named.example',
      'https://other.example:5000',
      'https://10.0.0.1',
    ])
  })
})
