import t from 'tap'
import { notaryCodec, tufCodec, roleName } from '../../../tuf/index.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { StorageError } from '../../../server/storage/errors.ts'
import { GO, NOW, openTestServer, REPO } from '../support/app.ts'
import { openNotaryLab, setTag, signRoot, signTargets, type NotaryKeyObject } from '../support/notary-party.ts'

const TUF = `/v2/${REPO}/_trust/tuf`
const AS_GO = { 'user-agent': GO }

await t.test('a key before the repository exists is written as its caller reads keys', async (t) => {
  const server = await openTestServer(t)
  for (const role of ['timestamp', 'snapshot']) {
    const notary = (await server.get(`${TUF}/${role}.key`, AS_GO)).json<NotaryKeyObject>()
    t.match(notary, { keytype: 'ed25519', keyval: { private: null } })
    const tuf = (await server.get(`${TUF}/${role}.key`)).json<{ scheme: string; keyval: { public: string } }>()
    t.equal(tuf.scheme, 'ed25519')
    t.equal(Buffer.from(notary.keyval.public, 'base64').toString('hex'), tuf.keyval.public, 'one key, two spellings')
    t.equal(tufCodec.key({ ...tuf, keytype: 'ed25519', public: tuf.keyval.public }, nativeSuite).keytype, 'ed25519')
  }
})

await t.test('another key is the same one until a root names it', async (t) => {
  const lab = await openNotaryLab(t)
  const renew = async () => (await lab.send('POST', `${TUF}/snapshot.key`)).json<NotaryKeyObject>().keyval.public
  const current = (await lab.get(`${TUF}/snapshot.key`)).json<NotaryKeyObject>().keyval.public
  const next = await renew()
  t.not(next, current)
  t.equal(await renew(), next)
  const id = notaryCodec.key({ keytype: 'ed25519', scheme: 'notary-v1-eddsa', public: current }, nativeSuite).id
  t.same(lab.owner.root.roles.get(roleName('snapshot'))?.keyids, [id])
})

await t.test('files are found by name, version and hash, with what caches want to know', async (t) => {
  const lab = await openNotaryLab(t)
  setTag(lab.owner, '2.0', 'two')
  await lab.publish({ targets: signTargets(lab.owner) })
  const current = await lab.get(`${TUF}/targets.json`)
  const sha256 = nativeSuite.hash('sha256', current.rawPayload)
  t.match(current.headers, { etag: `"${sha256}"`, 'last-modified': new Date(NOW).toUTCString() })
  for (const name of ['3.targets', `targets.${sha256}`]) {
    const same = await lab.get(`${TUF}/${name}.json`)
    t.same([same.statusCode, same.rawPayload], [200, current.rawPayload], name)
    t.match(same.headers['cache-control'], 'immutable')
  }
  t.equal((await lab.send('HEAD', `${TUF}/targets.json`)).statusCode, 200)
  t.equal((await lab.get(`${TUF}/targets.json`, { 'if-none-match': `"${sha256}"` })).statusCode, 304)
  t.equal((await lab.get(`/v2/${encodeURIComponent(REPO)}/_trust/tuf/targets.json`)).statusCode, 200)
})

const NOT_THERE = [
  'nope.json',
  'targets/nope.json',
  '9.root.json',
  '0.root.json',
  `targets.${'0'.repeat(64)}.json`,
  `targets.${'A'.repeat(64)}.json`,
  `targets.${'0'.repeat(128)}.json`,
  'targets.key',
]
await t.test('what is not there is told as notary-server tells it', async (t) => {
  const lab = await openNotaryLab(t)
  const paths = [...NOT_THERE.map((name) => `${TUF}/${name}`), '/v2', '/v2/x', '/v2/none/_trust/tuf/root.json']
  for (const path of paths) {
    const answer = await lab.get(path)
    t.equal(answer.statusCode, 404, path)
    t.match(answer.json(), { errors: [{ code: 'METADATA_NOT_FOUND' }] }, path)
  }
})

await t.test('the words of an answer follow the repository, then what its caller asks for', async (t) => {
  const lab = await openNotaryLab(t)
  const code = async (headers: Record<string, string>, name = REPO) =>
    (await lab.server.get(`/v2/${name}/_trust/tuf/9.root.json`, headers)).json<{ errors: [{ message: string }] }>()
      .errors[0].message
  t.match(await code({}), 'You have requested metadata that does not exist.')
  t.match(await code({ accept: 'application/json' }), `${REPO} has no 9.root.json`)
  await lab.server.create(['1.0'], 'tuf.example.com')
  t.match(await code(AS_GO, 'tuf.example.com'), 'tuf.example.com has no 9.root.json')
  t.match(await code(AS_GO, 'none.example.com'), 'You have requested metadata that does not exist.')
  t.match(await code({}, 'none.example.com'), 'none.example.com has no 9.root.json')
})

await t.test('a long refusal still fits what old clients read', async (t) => {
  const lab = await openNotaryLab(t)
  const role = `targets/${'a'.repeat(240)}`
  const answer = await lab.publish({ [role]: Buffer.from('{}') })
  t.ok(answer.rawPayload.length <= 1024)
  t.match(answer.json(), { errors: [{ detail: { Name: String, Error: { Msg: String } } }] })
})

type Feed = { readonly count: number; readonly records: readonly Record<string, unknown>[] | null }

await t.test('the changefeed of one repository, of all, and what it refuses', async (t) => {
  const lab = await openNotaryLab(t)
  await lab.server.create(['1.0'], 'other.example.com')
  setTag(lab.owner, '2.0', 'two')
  await lab.publish({ targets: signTargets(lab.owner) })
  await lab.send('DELETE', '/v2/other.example.com/_trust/tuf/')
  const feed = async (query: string, name = '') => (await lab.get(`/v2/${name}_trust/changefeed?${query}`)).json<Feed>()
  const all = await feed('records=0')
  t.equal(all.count, 4)
  t.match(all.records?.[0], {
    ID: '1',
    GUN: REPO,
    Version: 1,
    Category: 'update',
    CreatedAt: new Date(NOW).toISOString(),
  })
  t.match(all.records?.[3], { GUN: 'other.example.com', Version: 0, SHA256: '', Category: 'deletion' })
  const ids = ({ records }: Feed) => records?.map(({ ID }) => ID)
  t.same(ids(await feed('records=10', `${REPO}/`)), ['1', '3'])
  t.same(ids(await feed('records=2&change_id=1')), ['2', '3'])
  t.same(ids(await feed('records=-2&change_id=4')), ['2', '3'])
  t.same(ids(await feed('records=2&change_id=-1')), ['3', '4'])
  t.same(await feed('records=1&change_id=4'), { count: 0, records: null })
  for (const query of ['', 'records=', 'records=x', 'records=1.5', 'records=1&change_id=x']) {
    const answer = await lab.get(`/v2/_trust/changefeed?${query}`)
    t.match([answer.statusCode, answer.json()], [400, { errors: [{ code: 'INVALID_PARAMETERS' }] }], query)
  }
})

await t.test('deletion is for administrators, is written down, and is no news where nothing was', async (t) => {
  const server = await openTestServer(t, { open: false })
  const { store } = server.services.deps
  const remove = async (actions: readonly ('push' | 'admin')[], repository = REPO) => {
    const authorization = `Bearer ${await server.token({ name: actions.join(), repository, actions })}`
    return server.app.inject({ method: 'DELETE', url: `${TUF}/`, headers: { authorization } })
  }
  t.equal((await server.app.inject({ method: 'DELETE', url: `${TUF}/` })).statusCode, 401)
  t.equal((await remove(['push'])).statusCode, 403)
  const answer = await remove(['admin'])
  t.same([answer.statusCode, answer.body], [200, ''])
  t.same(
    (await store.audit.list({ limit: 9 })).filter(({ action }) => action === 'delete'),
    [],
  )
})

await t.test('a deleted repository of either dialect is gone, and its name is free for either', async (t) => {
  const lab = await openNotaryLab(t)
  t.equal((await lab.send('DELETE', `${TUF}/`)).statusCode, 200)
  t.equal((await lab.get(`${TUF}/root.json`)).statusCode, 404)
  await lab.server.create(['1.0'])
  t.equal((await lab.server.get(`${TUF}/1.root.json`)).statusCode, 200)
  t.equal((await lab.send('DELETE', `${TUF}/`)).statusCode, 200)
  t.equal((await lab.server.get(`${TUF}/1.root.json`)).statusCode, 404)
  const audit = await lab.server.services.deps.store.audit.list({ limit: 9 })
  t.equal(audit.filter(({ action, subject }) => action === 'delete' && subject === REPO).length, 2)
})

await t.test('what comes back under the same keys is above what those had signed', async (t) => {
  const lab = await openNotaryLab(t)
  setTag(lab.owner, '2.0', 'two')
  const files = { root: signRoot(lab.owner), targets: signTargets(lab.owner) }
  t.equal((await lab.publish({ targets: files.targets })).statusCode, 200)
  await lab.send('DELETE', `${TUF}/`)
  t.equal((await lab.publish(files)).statusCode, 200)
  const version = async (role: string) =>
    (await lab.get(`${TUF}/${role}.json`)).json<{ signed: { version: number } }>().signed.version
  t.same([await version('timestamp'), await version('snapshot'), await version('root')], [3, 3, 1])
})

await t.test('health, where notary-server tells it', async (t) => {
  const server = await openTestServer(t)
  const well = await server.get('/_notary_server/health', AS_GO)
  t.same([well.statusCode, well.json()], [200, {}])
  Object.assign(server.services.deps.store, {
    check: async () => {
      throw new StorageError('STORAGE_UNAVAILABLE', { path: 'x', reason: 'gone' })
    },
  })
  const ill = await server.get('/_notary_server/health', AS_GO)
  t.same([ill.statusCode, ill.json()], [503, { 'DB operational': 'STORAGE_UNAVAILABLE' }])
})
