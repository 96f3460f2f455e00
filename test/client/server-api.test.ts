import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { openHttp } from '../../client/http.ts'
import { openServerApi } from '../../client/server-api.ts'
import type { ServerApi } from '../../client/server-api.ts'
import { TARGETS } from '../../tuf/index.ts'

await t.test('a server that trickles is given up, and not taken for one that was told to stop', async (t) => {
  const timers: NodeJS.Timeout[] = []
  const server = createServer((_request, response) => {
    response.writeHead(200)
    timers.push(setInterval(() => response.write(' '), 10))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const http = openHttp()
  t.teardown(() => {
    for (const timer of timers) clearInterval(timer)
    http.close()
    server.closeAllConnections()
    server.close()
  })
  const options = {
    http,
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    repository: 'registry.example.com/team/app',
    token: undefined,
    signal: new AbortController().signal,
    patience: { milliseconds: 100, rate: 1024 },
  }
  await t.rejects(openServerApi(options).history('1', 1), { name: 'HttpError', code: 'TIMEOUT' })
  const stop = new AbortController()
  const stopped = openServerApi({ ...options, signal: stop.signal }).history('1', 1)
  stop.abort()
  await t.rejects(stopped, { name: 'AbortError' })
})

type Answer = { readonly status: number; readonly body: string }

/** What the server says of an upload, or of whatever `ask` asks, where it answers so. */
async function askedOf<T>(t: Test, { status, body }: Answer, ask: (api: ServerApi) => Promise<T>): Promise<T> {
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(status).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const http = openHttp()
  t.teardown(() => {
    http.close()
    server.close()
  })
  const options = {
    http,
    server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    repository: 'example.com/alpha',
    token: undefined,
    signal: new AbortController().signal,
  }
  return await ask(openServerApi(options))
}

function upload(api: ServerApi) {
  return api.upload(new Map([[TARGETS, Buffer.from('{}')]]))
}

function errors(code: string, message: string, detail: object): string {
  return JSON.stringify({ errors: [{ code, message, detail }] })
}

/** As notary-server writes them. */
const REFUSED: Record<string, Answer & { readonly reason: string; readonly why: string }> = {
  'what is wrong with an upload': {
    status: 400,
    body: errors('INVALID_UPDATE', 'Update sent by the client is invalid.', {
      Name: 'ErrBadRoot',
      Error: { Msg: 'Root modifications must increment the version. Current 4, new 1' },
    }),
    reason: 'ErrBadRoot',
    why: 'Root modifications must increment the version. Current 4, new 1',
  },
  'a refusal without a detail': {
    status: 400,
    body: errors('MALFORMED_UPLOAD', 'The body of your request is malformed.', {}),
    reason: 'MALFORMED_UPLOAD',
    why: 'The body of your request is malformed.',
  },
}

await t.test('a token that is not taken is told with what the server says of it', async (t) => {
  const body = errors('UNAUTHORIZED', 'a token is needed: this one has expired', {})
  await t.rejects(askedOf(t, { status: 401, body }, upload), {
    code: 'UNAUTHORIZED',
    detail: { why: 'a token is needed: this one has expired' },
    message: /has expired$/,
  })
})

await t.test('a Notary server', async (t) => {
  await t.test('says with an empty answer that an upload is stored', async (t) => {
    const outcome = await askedOf(t, { status: 200, body: '' }, upload)
    t.same(outcome, { kind: 'stored', unsigned: [], signed: {} })
  })
  await t.test('tells of a conflict with status 400', async (t) => {
    const body = errors('VERSION', 'A newer version of metadata is already available.', {})
    t.same(await askedOf(t, { status: 400, body }, upload), { kind: 'conflict', role: undefined, current: undefined })
  })
  for (const [name, { reason, why, ...answer }] of Object.entries(REFUSED)) {
    await t.test(`is understood where it tells ${name}`, async (t) => {
      const expected = { name: 'PublishError', code: 'UPDATE_REFUSED', detail: { reason, why } }
      await t.rejects(askedOf(t, answer, upload), expected)
    })
  }
  await t.test('names a key without a scheme', async (t) => {
    const body =
      '{"keytype":"ed25519","keyval":{"public":"mI+u/KniDLDNye7J05lc2EmG57/bClXHXSNrFnaBJRs=","private":null}}'
    t.same(await askedOf(t, { status: 200, body }, (api) => api.onlineKey('timestamp')), {
      keytype: 'ed25519',
      scheme: undefined,
      public: 'mI+u/KniDLDNye7J05lc2EmG57/bClXHXSNrFnaBJRs=',
    })
  })
  await t.test('gives no key where its answer is empty', async (t) => {
    const key = askedOf(t, { status: 200, body: '' }, (api) => api.onlineKey('timestamp'))
    await t.rejects(key, { name: 'PublishError', code: 'BAD_ANSWER' })
  })
})
