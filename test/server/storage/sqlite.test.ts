import { copyFileSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { hash } from '../../../keys/digest.ts'
import { MIGRATIONS } from '../../../server/storage/schema.ts'
import { examineDatabase, lockData, openSqliteReading, openSqliteStore } from '../../../server/storage/sqlite.ts'
import type { Publication, Store } from '../../../server/storage/store.ts'
import { instant, roleName, version } from '../../../tuf/index.ts'
import { storeContract } from '../../contracts/metadata-store.ts'

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'tagseal-store-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const dirs = new WeakMap<Store, string>()
await t.test('SQLite keeps the storage contract', async (t) =>
  storeContract(t, {
    async open(t) {
      const dir = folder(t)
      const store = await openSqliteStore({ dir })
      dirs.set(store, dir)
      t.teardown(() => store.close())
      return store
    },
    async again(store) {
      await store.close()
      return openSqliteStore({ dir: dirs.get(store) ?? '' })
    },
  }),
)

await t.test('the database is for its owner alone', async (t) => {
  const dir = join(folder(t), 'data')
  const store = await openSqliteStore({ dir })
  t.equal(statSync(dir).mode & 0o777, 0o700)
  t.equal(statSync(join(dir, 'tagseal.db')).mode & 0o777, 0o600)
  await store.close()
})

await t.test('a database of a newer program is refused', async (t) => {
  const dir = folder(t)
  await (await openSqliteStore({ dir })).close()
  const db = new Database(join(dir, 'tagseal.db'))
  db.pragma('user_version = 99')
  db.close()
  await t.rejects(openSqliteStore({ dir }), { code: 'STORAGE_NEWER' })
})

await t.test('a file that is no database is refused, and left alone', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'tagseal.db'), 'not a database, but long enough to be looked at as one'.repeat(20))
  await t.rejects(openSqliteStore({ dir }), { code: 'STORAGE_UNAVAILABLE' })
})

await t.test('one server at a time works on a folder', async (t) => {
  const dir = folder(t)
  const lock = lockData(dir)
  t.throws(() => lockData(dir), { code: 'DATA_IN_USE' })
  const store = await openSqliteStore({ dir })
  t.same(await store.tokens.list(), [], 'tools may open the database meanwhile')
  await store.close()
  lock.release()
  lockData(dir).release()
})

function large(base: number, v: number, bytes: number): Publication {
  const content = Buffer.alloc(bytes, `${v} `)
  const file = {
    role: roleName('targets'),
    version: version(v),
    bytes: content,
    length: content.length,
    sha256: hash('sha256', content),
    sha512: hash('sha512', content),
    expires: instant(9999),
    delegates: false,
  }
  return { repository: 'r', base, at: v, pruneBefore: 0, files: [file] }
}

await t.test('a full disk refuses who needs too much of it, and nobody who publishes at the same time', async (t) => {
  const store = await openSqliteStore({ dir: folder(t), maxBytes: 1024 * 1024 })
  t.teardown(() => store.close())
  const { metadata } = store
  const named = (repository: string, bytes: number) => [{ ...large(0, 1, bytes), repository }]
  const publishing = [named('a', 10_000), named('b', 2_000_000), named('c', 10_000)]
  const done = await Promise.allSettled(publishing.map((publications) => metadata.publish(publications)))
  t.match(done, [{ value: [true] }, { reason: { code: 'STORAGE_FULL' } }, { value: [true] }])
  for (const name of ['a', 'c']) t.equal((await metadata.current(name, roleName('targets')))?.version, 1, name)
  t.equal(await metadata.state('b'), undefined)
})

await t.test('a full disk refuses the publish, keeps all before it, and goes on reading', async (t) => {
  const store = await openSqliteStore({ dir: folder(t), maxBytes: 1024 * 1024 })
  t.teardown(() => store.close())
  const { metadata } = store
  await metadata.publish([large(0, 1, 300_000)])
  await metadata.publish([large(1, 2, 300_000)])
  const before = await metadata.state('r')
  await t.rejects(metadata.publish([large(2, 3, 600_000)]), { code: 'STORAGE_FULL' })
  t.same(await metadata.state('r'), before)
  t.equal((await metadata.current('r', roleName('targets')))?.version, 2)
  t.equal(await metadata.byVersion('r', roleName('targets'), 3), undefined)
  await metadata.prune(99, 10)
  t.same(await metadata.publish([large(2, 3, 300_000)]), [true], 'room that was freed is used')
})

await t.test(
  'starting on what is there writes nothing, for a full disk must not keep a server from reading',
  async (t) => {
    const dir = folder(t)
    await (await openSqliteStore({ dir })).close()
    const lock = lockData(dir)
    const store = await openSqliteStore({ dir })
    const sizes = Object.fromEntries(readdirSync(dir).map((name) => [name, statSync(join(dir, name)).size]))
    t.match(sizes, { 'server.lock': 0, 'tagseal.db-wal': 0 })
    t.notOk('server.lock-journal' in sizes)
    await store.close()
    lock.release()
  },
)

await t.test(
  'made ready, publishes write over space that the log has already, and nobody sees anything else of it',
  async (t) => {
    const dir = folder(t)
    const store = await openSqliteStore({ dir, marks: join(dir, 'marks.db') })
    t.teardown(() => store.close())
    await store.metadata.publish([large(0, 1, 1000)])
    const reading = openSqliteReading(dir)
    t.teardown(() => reading.close())
    const size = (name: string) => statSync(join(dir, name)).size
    const before = { commits: reading.commits(), database: size('tagseal.db'), state: await store.metadata.state('r') }
    await store.makeReady()
    const log = size('tagseal.db-wal')
    t.ok(log > 3_900_000 && log <= 4 * 1024 * 1024, String(log))
    const after = { commits: reading.commits(), database: size('tagseal.db'), state: await store.metadata.state('r') }
    t.strictSame(after, before)
    for (let v = 1; v < 20; v++) t.strictSame(await store.metadata.publish([large(v, v + 1, 1000)]), [true])
    t.equal(size('tagseal.db-wal'), log)
    t.equal((await reading.metadata.current('r', roleName('targets')))?.version, 20)
  },
)

await t.test('without the space to be made ready, a store does what it did', async (t) => {
  const store = await openSqliteStore({ dir: folder(t), maxBytes: 1024 * 1024 })
  t.teardown(() => store.close())
  await t.rejects(store.makeReady(), { code: 'STORAGE_FULL' })
  t.strictSame(await store.metadata.publish([large(0, 1, 300_000)]), [true])
  t.equal((await store.metadata.current('r', roleName('targets')))?.version, 1)
})

await t.test('what was made ready and then killed opens as it was', async (t) => {
  const dir = folder(t)
  const store = await openSqliteStore({ dir })
  await store.metadata.publish([large(0, 1, 1000)])
  await store.makeReady()
  await store.metadata.publish([large(1, 2, 1000)])
  const killed = folder(t)
  for (const name of ['tagseal.db', 'tagseal.db-wal']) copyFileSync(join(dir, name), join(killed, name))
  await store.close()
  const again = await openSqliteStore({ dir: killed })
  t.equal((await again.metadata.current('r', roleName('targets')))?.version, 2)
  await again.close()
  t.match(examineDatabase(join(killed, 'tagseal.db')), { whole: true })
})

/** A database of the first released schema, with a repository that was published to twice. */
function firstDatabase(dir: string): void {
  const db = new Database(join(dir, 'tagseal.db'))
  db.exec(MIGRATIONS[0] ?? '')
  db.exec(`
    INSERT INTO repository VALUES (1, 'r', 1000, 2, 2000, 9000, 9000);
    INSERT INTO content VALUES (1, x'01'), (2, x'02'), (3, x'03'), (4, x'04');
    INSERT INTO file VALUES
      (1, 'targets', 1, '${'1'.repeat(64)}', '${'1'.repeat(128)}', 1, 9000, 0, 1000, 2000, 1),
      (1, 'targets', 2, '${'2'.repeat(64)}', '${'2'.repeat(128)}', 1, 9000, 0, 2000, NULL, 2),
      (1, 'timestamp', 1, '${'3'.repeat(64)}', '${'3'.repeat(128)}', 1, 9000, 0, 1000, 2000, 3),
      (1, 'timestamp', 2, '${'4'.repeat(64)}', '${'4'.repeat(128)}', 1, 9000, 0, 2000, NULL, 4);
    INSERT INTO publication VALUES (1, 1, 'targets', 1, 1000, '["k"]', 'ci'), (2, 1, 'targets', 2, 2000, '["k"]', NULL);
    INSERT INTO meaning VALUES (1, 'v1', 1, x'${'ab'.repeat(32)}', 5), (1, 'v1', 2, NULL, NULL);
    PRAGMA user_version = 1;
  `)
  db.close()
}

await t.test('a database of the first schema loses nothing on its way to this one', async (t) => {
  const dir = folder(t)
  firstDatabase(dir)
  const { metadata, feed, close } = await openSqliteStore({ dir })
  t.match(await metadata.state('r'), { createdAt: 1000, revision: 2, dialect: 'tuf-1.0' })
  t.same(Buffer.from((await metadata.byVersion('r', roleName('targets'), 1))?.bytes ?? []), Buffer.from([1]))
  t.match(await metadata.history('r', 'v1', { limit: 10 }), [
    { id: 2, version: 2, keyids: ['k'] },
    { id: 1, version: 1, by: 'ci', meaning: { digest: `sha256:${'ab'.repeat(32)}`, length: 5, besides: undefined } },
  ])
  t.same(await metadata.changedOrders('r', 0), [])
  t.match(await feed.after({ from: 0, limit: 10 }), [{ repository: 'r', version: 2, sha256: '4'.repeat(64), at: 2000 }])
  const windows = { timestamp: { soon: 9000, far: 1e9 }, snapshot: { soon: 9000, far: 1e9 } }
  t.match(await metadata.due('tuf-1.0', windows, 10), [{ name: 'r', holdsSnapshot: true }])
  t.equal(
    await metadata.remove({ repository: 'r', at: 3000, audit: { at: 3000, action: 'delete', subject: 'r' } }),
    true,
  )
  await close()
  const db = new Database(join(dir, 'tagseal.db'))
  t.same(db.pragma('foreign_key_check'), [])
  t.same(db.prepare('SELECT count(*) AS n FROM content').get(), { n: 0 })
  db.close()
})

await t.test('rows still refer to rows that are there', async (t) => {
  const dir = folder(t)
  firstDatabase(dir)
  await (await openSqliteStore({ dir })).close()
  const db = new Database(join(dir, 'tagseal.db'))
  db.pragma('foreign_keys = ON')
  t.throws(() => db.exec("INSERT INTO meaning VALUES (99, 'v1', 1, NULL, NULL, NULL)"), {
    code: 'SQLITE_CONSTRAINT_FOREIGNKEY',
  })
  t.throws(() => db.exec('DELETE FROM repository'), { code: 'SQLITE_CONSTRAINT_FOREIGNKEY' })
  db.close()
})
