import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { hash } from '../../../keys/digest.ts'
import { lockData, openSqliteStore } from '../../../server/storage/sqlite.ts'
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
