import t from 'tap'
import { provenFiles } from '../../../server/readers/proven.ts'
import { openServedFiles } from '../../../server/serve/files.ts'
import { openSqliteReading } from '../../../server/storage/sqlite.ts'
import { openTestServer, REPO, type TestServer } from '../support/app.ts'
import { setTag, signTargets, type Owner } from '../support/party.ts'

const OTHER = 'registry.example.com/team/other'

async function publish(server: TestServer, owner: Owner, repository = REPO): Promise<void> {
  setTag(owner, server.clock.now, 'x', String(owner.targets.version))
  const answer = await server.publish({ targets: await signTargets(owner) }, { repository })
  if (answer.statusCode !== 200) throw new Error(answer.body)
}

/** As a reader sees the database that `server` writes: what it looked up, and what it answers. */
function openReader(t: { teardown: (end: () => void) => unknown }, { dir }: TestServer) {
  const store = openSqliteReading(dir)
  t.teardown(() => store.close())
  const { metadata } = store
  const looked: string[] = []
  const counted = {
    ...metadata,
    current: (...wanted: Parameters<typeof metadata.current>) => {
      looked.push(wanted[0])
      return metadata.current(...wanted)
    },
  }
  const files = provenFiles(store, openServedFiles(counted, 1024 * 1024))
  const version = async (repository = REPO, role = 'timestamp') => {
    const known = files.inMemory()(repository, `${role}.json`)
    const served = await files.get(repository, `${role}.json`)
    if (known !== undefined && known !== served) throw new Error('what was in memory was another one')
    return served && (JSON.parse(served.bytes.toString()) as { signed: { version: number } }).signed.version
  }
  return { version, looked }
}

await t.test('what was published is seen at once, and what was not touched stays in memory', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  await server.create([], OTHER)
  const { version, looked } = openReader(t, server)
  t.equal(await version(), 1)
  t.equal(await version(OTHER), 1)
  for (let wanted = 2; wanted < 20; wanted++) {
    await publish(server, owner)
    t.equal(await version(), wanted)
    t.equal(await version(OTHER), 1)
    t.equal(await version(), wanted)
  }
  t.equal(looked.filter((name) => name === REPO).length, 19, 'once for each publish')
  t.equal(looked.filter((name) => name === OTHER).length, 1, 'once and never again')
})

await t.test('a repository that comes, goes and comes again is seen as it is', async (t) => {
  const server = await openTestServer(t)
  const { version } = openReader(t, server)
  t.equal(await version(), undefined)
  const first = await server.create()
  await publish(server, first)
  t.equal(await version(), 2)
  t.equal(await version(REPO, 'targets'), 2)
  t.equal((await server.app.inject({ method: 'DELETE', url: `/v2/${REPO}/_trust/tuf/` })).statusCode, 200)
  t.equal(await version(REPO, 'targets'), undefined)
  await server.create(['another'])
  t.equal(await version(REPO, 'targets'), 1, 'the new one, not the one that was in memory')
})

await t.test('what is signed anew ahead of its expiry is seen at once', async (t) => {
  const server = await openTestServer(t)
  await server.create()
  const { version } = openReader(t, server)
  t.equal(await version(), 1)
  server.clock.now += 20 * 3600 * 1000
  t.equal(await server.services.freshness.pass(), 1)
  t.equal(await version(), 2)
})

await t.test(
  'a file that is published between the proof and the look-up is not mistaken for the one after',
  async (t) => {
    const server = await openTestServer(t)
    const store = openSqliteReading(server.dir)
    t.teardown(() => store.close())
    let before: () => Promise<unknown> = async () => undefined
    const { metadata } = store
    const late = {
      ...metadata,
      async current(...wanted: Parameters<typeof metadata.current>) {
        await before()
        return metadata.current(...wanted)
      },
    }
    const files = provenFiles(store, openServedFiles(late, 1024 * 1024))
    const seenAfter = async (change: () => Promise<unknown>) => {
      before = change
      const served = await files.get(REPO, 'targets.json')
      before = async () => undefined
      return (JSON.parse(String(served?.bytes)) as { signed: { version: number } }).signed.version
    }
    let owner: Owner | undefined
    const publishNext = async () => owner && publish(server, owner)
    t.equal(await seenAfter(async () => (owner = await server.create())), 1, 'of a repository that was not there')
    await publishNext()
    t.equal(await seenAfter(publishNext), 3, 'of one that was')
    await publishNext()
    t.equal(await seenAfter(async () => undefined), 4)
  },
)

await t.test('it can only read', async (t) => {
  const server = await openTestServer(t)
  const store = openSqliteReading(server.dir)
  t.teardown(() => store.close())
  t.throws(() => openSqliteReading(t.testdir()), { code: 'STORAGE_UNAVAILABLE' })
  t.notOk('publish' in store.metadata || 'tokens' in store || 'keys' in store)
})
