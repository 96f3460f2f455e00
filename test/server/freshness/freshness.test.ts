import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { setTimeout } from 'node:timers/promises'
import { StorageError } from '../../../server/storage/errors.ts'
import { roleName } from '../../../tuf/index.ts'
import { NOW, openTestServer, REPO, type TestServer } from '../support/app.ts'
import { setTag, signTargets } from '../support/party.ts'
import { propose } from '../support/proposals.ts'
import { fetchTrusted } from '../support/reader.ts'

const HOUR = 3600 * 1000
const DAY = 24 * HOUR

async function versions({ services }: TestServer, repository = REPO) {
  const files = (await services.deps.store.metadata.state(repository))?.files
  const of = (role: string) => files?.get(roleName(role))?.version
  return { timestamp: of('timestamp'), snapshot: of('snapshot'), targets: of('targets') }
}

type Step = { readonly name: string; readonly after: number; readonly timestamp: number; readonly snapshot: number }
const LIFE: readonly Step[] = [
  { name: 'nothing just after publishing', after: 0, timestamp: 1, snapshot: 1 },
  { name: 'nothing before half of the timestamp is gone', after: 11 * HOUR, timestamp: 1, snapshot: 1 },
  { name: 'the timestamp at half of its life', after: HOUR, timestamp: 2, snapshot: 1 },
  { name: 'nothing right after that', after: 0, timestamp: 2, snapshot: 1 },
  { name: 'the timestamp alone after two days', after: 2 * DAY, timestamp: 3, snapshot: 1 },
  { name: 'both when half of the snapshot is gone', after: 1.5 * DAY, timestamp: 4, snapshot: 2 },
  { name: 'both long after everything expired', after: 30 * DAY, timestamp: 5, snapshot: 3 },
  { name: 'nothing when the clock goes back an hour', after: -HOUR, timestamp: 5, snapshot: 3 },
  { name: 'what a clock that ran ahead had signed', after: -20 * DAY, timestamp: 6, snapshot: 4 },
]

await t.test('signs anew, as time goes by', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  for (const { name, after, timestamp, snapshot } of LIFE) {
    server.clock.now += after
    await server.services.freshness.pass()
    t.same(await versions(server), { timestamp, snapshot, targets: 1 }, name)
    const trust = await fetchTrusted(server, owner) // a client accepts it
    t.ok(trust.timestamp.expires - server.clock.now > 12 * HOUR - 1000)
  }
})

await t.test('readers get the new timestamp from the next request on, and none is signed for a reader', async (t) => {
  const server = await openTestServer(t)
  await server.create()
  const url = `/v2/${REPO}/_trust/tuf/timestamp.json`
  const version = async () => (await server.get(url)).json<{ signed: { version: number } }>().signed.version
  t.equal(await version(), 1)
  server.clock.now += 2 * DAY
  t.equal(await version(), 1, 'expired, and still what is stored')
  await server.services.freshness.pass()
  t.equal(await version(), 2)
})

await t.test('a start after a long stop signs before anything is served', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-fresh-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const clock = { now: NOW }
  let owner: Awaited<ReturnType<TestServer['create']>> | undefined
  await t.test('before', async (t) => {
    owner = await (await openTestServer(t, { data: dir }, clock)).create()
  })
  clock.now += 20 * DAY
  const server = await openTestServer(t, { data: dir }, clock)
  t.same(await versions(server), { timestamp: 2, snapshot: 2, targets: 1 })
  if (owner !== undefined) t.ok(await fetchTrusted(server, owner))
})

await t.test('a start without space serves what is there, and signs as soon as there is some', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-full-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const clock = { now: NOW }
  const url = `/v2/${REPO}/_trust/tuf/timestamp.json`
  await t.test('before', async (t) => {
    const server = await openTestServer(t, { data: dir }, clock)
    await server.create(Array.from({ length: 4_000 }, (_, i) => `tag-${i}`))
    for (let i = 0; i < 40; i++) await server.create([], `registry.example.com/team/app-${i}`)
  })
  clock.now += 20 * DAY
  await t.test('full', async (t) => {
    const server = await openTestServer(t, { data: dir, maxDatabase: 256 * 1024 }, clock)
    t.match((await server.get(url)).json(), { signed: { version: 1 } })
    t.match((await server.get('/metrics')).body, /tagseal_refresh_failures_total 1\n/)
  })
  const server = await openTestServer(t, { data: dir }, clock)
  t.match((await server.get(url)).json(), { signed: { version: 2 } })
})

await t.test('superseded files go also while signing fails, for that may make the space it lacks', async (t) => {
  const server = await openTestServer(t, { timestampLifetime: 2, snapshotLifetime: 2 })
  const owner = await server.create()
  setTag(owner, server.clock.now, 'x', 'x')
  await server.publish({ targets: await signTargets(owner) })
  const { metadata } = server.services.deps.store
  Object.assign(metadata, { due: () => Promise.reject(new StorageError('STORAGE_FULL', { path: 'x' })) })
  server.clock.now += DAY
  const url = `/v2/${REPO}/_trust/tuf/1.targets.json`
  t.equal((await server.get(url)).statusCode, 200)
  server.services.freshness.start()
  while ((await metadata.byVersion(REPO, roleName('targets'), 1)) !== undefined) await setTimeout(20)
  await server.services.freshness.stop()
})

await t.test('so do proposals whose time is over', async (t) => {
  const server = await openTestServer(t, { timestampLifetime: 2, snapshotLifetime: 2, proposalLifetime: 60 })
  const owner = await server.create()
  setTag(owner, server.clock.now, 'x', 'x')
  t.equal((await propose(server, { targets: await signTargets(owner) })).statusCode, 200)
  server.clock.now += 60_000
  const { metadata } = server.services.deps.store
  server.services.freshness.start()
  while ((await metadata.summary()).proposals > 0) await setTimeout(20)
  await server.services.freshness.stop()
})

await t.test('one repository that cannot be signed does not stop the others', async (t) => {
  const server = await openTestServer(t)
  const names = Array.from({ length: 60 }, (_, i) => `registry.example.com/team/app-${i}`)
  for (const name of names) await server.create([], name)
  const { store } = server.services.deps
  const broken = names[3] ?? ''
  // Its timestamp keys are gone: what a storage that lost a row looks like.
  const keys = await store.keys.list(broken, 'timestamp')
  const state = await store.metadata.state(broken)
  const root = await store.metadata.current(broken, roleName('root'))
  if (state === undefined || root === undefined) throw new Error('no state')
  const retire = keys.map(({ keyid }) => keyid)
  await store.metadata.publish([
    { repository: broken, base: state.revision, at: NOW, pruneBefore: 0, files: [], retire },
  ])
  server.clock.now += 13 * HOUR
  t.equal(await server.services.freshness.pass(), names.length - 1)
  t.same(await versions(server, broken), { timestamp: 1, snapshot: 1, targets: 1 })
  t.same(await versions(server, names[59]), { timestamp: 2, snapshot: 1, targets: 1 })
  const metrics = (await server.get('/metrics')).body
  t.match(metrics, /tagseal_refresh_failures_total 1\n/)
  t.match(metrics, /tagseal_refreshed_total 59\n/)
  t.match(metrics, /tagseal_oldest_timestamp_seconds 46800\n/)
  await t.test('nor the server, which counts it for as long as it lasts', async (t) => {
    t.equal(await server.services.freshness.pass(), 0)
    const later = (await server.get('/metrics')).body
    t.match(later, /tagseal_refresh_failures_total 2\n/, 'with every look')
    t.match(later, /tagseal_refresh_failing_repositories 1\n/, 'and not with every look')
    t.equal((await server.get('/readyz')).statusCode, 200, 'the others are served')
    const gone = await server.app.inject({ method: 'DELETE', url: `/v2/${broken}/_trust/tuf/` })
    t.equal(gone.statusCode, 200)
    await server.services.freshness.pass()
    t.match((await server.get('/metrics')).body, /tagseal_refresh_failing_repositories 0\n/)
  })
})

await t.test('whether anybody looks at all can be seen', async (t) => {
  const server = await openTestServer(t)
  const lookedAt = async () =>
    Number(/^tagseal_refresh_looked_timestamp_seconds (\S+)$/m.exec((await server.get('/metrics')).body)?.[1])
  server.clock.now += DAY
  await server.services.freshness.pass()
  const first = server.clock.now / 1000
  t.equal(await lookedAt(), first)
  server.clock.now += DAY
  const due = async () => await Promise.reject(new Error('the disk cannot be read'))
  Object.assign(server.services.deps.store.metadata, { due })
  await t.rejects(server.services.freshness.pass())
  t.equal(await lookedAt(), first, 'a look that fails is none')
})

await t.test('the timer does it by itself, and stops', async (t) => {
  const server = await openTestServer(t, { timestampLifetime: 2, snapshotLifetime: 2 })
  await server.create()
  server.services.freshness.start()
  server.clock.now += 1500
  while ((await versions(server)).timestamp === 1) await setTimeout(20)
  await server.services.freshness.stop()
  const stopped = await versions(server)
  server.clock.now += DAY
  await setTimeout(250)
  t.same(await versions(server), stopped)
})

await t.test('publishing fifty times among ten thousand tags does not cost a megabyte each', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create(Array.from({ length: 10_000 }, (_, i) => `tag-${i}`))
  const size = () =>
    ['tagseal.db', 'tagseal.db-wal'].reduce((sum, name) => sum + statSync(join(server.dir, name)).size, 0)
  const before = size()
  for (let i = 0; i < 50; i++) {
    server.clock.now += 30_000
    setTag(owner, server.clock.now, 'latest', `image ${i}`)
    const answer = await server.publish({ targets: await signTargets(owner) })
    if (answer.statusCode !== 200) throw new Error(answer.body)
  }
  t.equal((await server.get(`/v2/${REPO}/_trust/tuf/45.targets.json`)).statusCode, 200, 'still being fetched')
  server.clock.now += 700_000
  server.services.freshness.start()
  const pruned = async () => (await server.get(`/v2/${REPO}/_trust/tuf/50.targets.json`)).statusCode === 404
  const { settings, services } = server
  t.equal(settings.grace, 600)
  await services.deps.store.metadata.prune(server.clock.now - settings.grace * 1000, 1000)
  while (await services.deps.store.metadata.reclaim());
  t.ok(await pruned())
  const perPublish = (size() - before) / 50
  t.comment(`${Math.round(perPublish / 1024)} KiB per publish`)
  t.ok(perPublish < 512 * 1024)
  t.equal((await server.get(`/v2/${REPO}/_trust/tuf/51.targets.json`)).statusCode, 200)
  t.equal((await services.deps.store.metadata.history(REPO, 'latest', { limit: 99 })).length, 50)
})
