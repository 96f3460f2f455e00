/** Repositories that the original server had, sent to ours as they were and as no client would follow them. */
import t from 'tap'
import type { Test } from 'tap'
import { generateKey } from '../../../keys/native/generate.ts'
import { handOverRoot, newestRoot, stateFiles } from '../../support/notary-move.ts'
import type { HandOver, OnlineFields } from '../../support/notary-move.ts'
import { NOW, openTestServer } from '../support/app.ts'
import type { TestServer } from '../support/app.ts'
import { multipart } from '../support/party.ts'

const STATES: Record<string, { repository: string; roots: number; snapshot: number }> = {
  '01-alpha-delegation-x509': { repository: 'example.com/alpha', roots: 1, snapshot: 5 },
  '02-beta-snapshot-server': { repository: 'example.com/beta', roots: 4, snapshot: 8 },
  '03-gamma-root-rotated': { repository: 'example.com/gamma', roots: 4, snapshot: 7 },
  '12-iota-delegation-removed-roles-null': { repository: 'example.com/iota', roots: 1, snapshot: 6 },
}

const versionIn = (bytes: Uint8Array | string | undefined): number =>
  (JSON.parse(Buffer.from(bytes ?? '').toString('utf8')) as { signed: { version: number } }).signed.version

async function send(server: TestServer, repository: string, files: ReadonlyMap<string, Uint8Array>) {
  const body = multipart(Object.fromEntries(files))
  const url = `/v1/repositories/${repository}/_import`
  return server.app.inject({
    method: 'POST',
    url,
    payload: body.payload,
    headers: { ...body.headers, accept: 'application/json' },
  })
}

async function onlineKey(
  server: TestServer,
  repository: string,
  role: 'timestamp' | 'snapshot',
): Promise<OnlineFields> {
  const answer = await server.get(`/v2/${repository}/_trust/tuf/${role}.key`, { accept: 'application/json' })
  const { keytype, scheme, keyval } = answer.json<{ keytype: string; scheme: string; keyval: { public: string } }>()
  return { keytype, scheme, public: keyval.public }
}

/** The files of a state with the root that hands over to this server. */
async function arrival(server: TestServer, state: string, repository: string, change: Partial<HandOver> = {}) {
  const files = stateFiles(state)
  const [timestamp, snapshot] = [
    await onlineKey(server, repository, 'timestamp'),
    await onlineKey(server, repository, 'snapshot'),
  ]
  const wish = { root: newestRoot(files), timestamp, snapshot, expires: NOW + 1e11, ...change }
  return files.set('root', await handOverRoot(wish))
}

for (const [state, { repository, roots, snapshot }] of Object.entries(STATES)) {
  await t.test(`takes in ${state}: every root is served, and versions go on`, async (t) => {
    const server = await openTestServer(t)
    const files = await arrival(server, state, repository)
    const answer = await send(server, repository, files)
    t.equal(answer.statusCode, 200, answer.body)
    const get = (name: string) => server.get(`/v2/${repository}/_trust/tuf/${name}.json`)
    for (let version = 1; version <= roots; version++) {
      t.strictSame((await get(`${version}.root`)).rawPayload, Buffer.from(files.get(`${version}.root`) ?? ''))
    }
    t.equal(versionIn((await get('root')).body), roots + 1)
    t.equal(versionIn((await get('snapshot')).body), snapshot)
    t.equal(versionIn((await get('timestamp')).body), versionIn(files.get('timestamp')) + 1)
    for (const [role, bytes] of files) {
      if (role.startsWith('targets')) t.strictSame((await get(role)).rawPayload, Buffer.from(bytes), role)
    }
    const again = await send(server, repository, files)
    t.equal(again.statusCode, 409, 'and not twice')
  })
}

const STATE = '02-beta-snapshot-server'
const REPOSITORY = 'example.com/beta'

type Scene = { readonly server: TestServer; readonly files: Map<string, Uint8Array> }
type Case = {
  readonly change: (scene: Scene) => void | Promise<void>
  readonly code: string
  readonly inner?: string
  readonly repository?: string
}
const without =
  (name: string) =>
  ({ files }: Scene) =>
    void files.delete(name)
const from =
  (state: string, name: string, as = name) =>
  ({ files }: Scene) =>
    void files.set(as, stateFiles(state).get(name) ?? new Uint8Array())
const bent =
  (name: string) =>
  ({ files }: Scene) => {
    const text = Buffer.from(files.get(name) ?? '').toString('latin1')
    files.set(name, Buffer.from(text.replace(/"expires":"20(\d\d)/, '"expires":"21$1'), 'latin1'))
  }
const nextRoot = (change: (scene: Scene) => Promise<Partial<HandOver>>) => async (scene: Scene) => {
  const changed = await arrival(scene.server, STATE, REPOSITORY, await change(scene))
  scene.files.set('root', changed.get('root') ?? new Uint8Array())
}
const OLD_SERVERS: OnlineFields = {
  keytype: 'ed25519',
  scheme: undefined,
  public: 'mI+u/KniDLDNye7J05lc2EmG57/bClXHXSNrFnaBJRs=',
}

const CASES: Record<string, Case> = {
  'no timestamp': { change: without('timestamp'), code: 'MALFORMED_UPLOAD' },
  'no snapshot': { change: without('snapshot'), code: 'MALFORMED_UPLOAD' },
  'no targets': { change: without('targets'), code: 'MALFORMED_UPLOAD' },
  'no root that hands over': { change: without('root'), code: 'MALFORMED_UPLOAD' },
  'no root of before': {
    change: ({ files }) => [1, 2, 3, 4].forEach((version) => files.delete(`${version}.root`)),
    code: 'MALFORMED_UPLOAD',
  },
  'a chain with a gap': { change: without('2.root'), code: 'INVALID_UPDATE', inner: 'VERSION_MISMATCH' },
  'the last root of before missing': { change: without('4.root'), code: 'INVALID_UPDATE' },
  'a root that was changed': { change: bent('2.root'), code: 'INVALID_UPDATE', inner: 'THRESHOLD' },
  'a timestamp that was changed': { change: bent('timestamp'), code: 'INVALID_UPDATE', inner: 'THRESHOLD' },
  'a snapshot that was changed': { change: bent('snapshot'), code: 'INVALID_UPDATE' },
  'targets that were changed': { change: bent('targets'), code: 'INVALID_UPDATE' },
  'the targets of another repository': {
    change: from('03-gamma-root-rotated', 'targets'),
    code: 'INVALID_UPDATE',
  },
  'the timestamp of another repository': {
    change: from('03-gamma-root-rotated', 'timestamp'),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'a role that the snapshot does not list': {
    change: from('01-alpha-delegation-x509', 'targets/releases'),
    code: 'INVALID_UPDATE',
    inner: 'ROLE_NOT_LISTED',
  },
  'a hand-over that somebody else signed': {
    change: nextRoot(async () => ({ signer: await generateKey('ecdsa-p256') })),
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  "a hand-over to a key that is not this server's": {
    change: nextRoot(async () => ({ timestamp: OLD_SERVERS })),
    code: 'INVALID_UPDATE',
    inner: 'KEY_NOT_HELD',
  },
  'a hand-over that has expired': {
    change: nextRoot(async () => ({ expires: NOW - 1000 })),
    code: 'INVALID_UPDATE',
    inner: 'EXPIRED',
  },
  'a root of TUF 1.0': {
    change: ({ files }) => void files.set('root', Buffer.from('{"signed":{"_type":"root"},"signatures":[]}')),
    code: 'INVALID_UPDATE',
    inner: 'OTHER_DIALECT',
  },
  'a root that is none': { change: ({ files }) => void files.set('root', Buffer.from('{}')), code: 'INVALID_UPDATE' },
  'another name for it': {
    change: () => undefined,
    repository: 'example.com/gamma',
    code: 'INVALID_UPDATE',
    inner: 'ROOT_CERTIFICATE',
  },
}

for (const [name, { change, code, inner, repository = REPOSITORY }] of Object.entries(CASES)) {
  await t.test(`refuses ${name}, and stores nothing`, async (t) => {
    const server = await openTestServer(t)
    const files = await arrival(server, STATE, REPOSITORY)
    await change({ server, files })
    const answer = await send(server, repository, files)
    const [problem] = answer.json<{ errors: [{ code: string; detail: { code?: string } }] }>().errors
    t.equal(problem.code, code, answer.body)
    if (inner !== undefined) t.equal(problem.detail.code, inner, answer.body)
    await nothingStored(t, server, repository)
  })
}

async function nothingStored(t: Test, server: TestServer, repository: string): Promise<void> {
  t.equal((await server.get(`/v1/repositories/${repository}`)).statusCode, 404)
}

await t.test('asks for the right to publish before a byte is read', async (t) => {
  const server = await openTestServer(t, { open: false })
  const token = await server.token({ repository: 'example.com/other', actions: ['pull', 'push'] })
  const url = `/v1/repositories/${REPOSITORY}/_import`
  const { payload, headers } = multipart({ root: new Uint8Array(1) })
  const ask = (more: Record<string, string>) =>
    server.app.inject({ method: 'POST', url, payload, headers: { ...headers, ...more } })
  t.equal((await ask({})).statusCode, 401)
  t.equal((await ask({ authorization: `Bearer ${token}` })).statusCode, 403)
})

await t.test(
  'versions go on from where they were here, when a repository was deleted and moves in again',
  async (t) => {
    const server = await openTestServer(t)
    const files = await arrival(server, STATE, REPOSITORY)
    const current = async (name: string) =>
      versionIn((await server.get(`/v2/${REPOSITORY}/_trust/tuf/${name}.json`)).body)
    t.equal((await send(server, REPOSITORY, files)).statusCode, 200)
    for (let publishes = 0; publishes < 5; publishes++) await server.publish({}, { repository: REPOSITORY })
    const before = [await current('timestamp'), await current('snapshot')]
    const url = `/v2/${REPOSITORY}/_trust/tuf/`
    t.equal((await server.app.inject({ method: 'DELETE', url })).statusCode, 200)
    t.equal((await send(server, REPOSITORY, files)).statusCode, 200)
    const after = [await current('timestamp'), await current('snapshot')]
    t.same(after, [(before[0] ?? 0) + 1, (before[1] ?? 0) + 1])
  },
)

await t.test('what has expired at the old server moves all the same, for its signers to sign here', async (t) => {
  const years = 4 * 365 * 86_400_000 // targets and delegated roles of Notary live for three, its roots for ten
  const server = await openTestServer(t, {}, { now: NOW + years })
  const state = '01-alpha-delegation-x509'
  const { repository = '' } = STATES[state] ?? {}
  const files = await arrival(server, state, repository, { expires: NOW + 2 * years })
  const answer = await send(server, repository, files)
  t.equal(answer.statusCode, 200, answer.body)
  const served = await server.get(`/v2/${repository}/_trust/tuf/targets.json`)
  t.ok(served.json<{ signed: { expires: string } }>().signed.expires < new Date(server.clock.now).toISOString())
  t.ok(versionIn((await server.get(`/v2/${repository}/_trust/tuf/timestamp.json`)).body) > 0)
})
