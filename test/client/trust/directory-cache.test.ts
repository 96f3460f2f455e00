import { readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { directoryCache } from '../../../client/trust/directory-cache.ts'

await t.test('the folder is for its owner only', async (t) => {
  const folder = join(t.testdir(), 'state', 'repository')
  await directoryCache(folder).store('root.json', Buffer.from('x'))
  t.equal(statSync(folder).mode & 0o777, 0o700)
  t.equal(statSync(join(folder, 'root.json')).mode & 0o777, 0o600)
  t.same(readdirSync(folder), ['root.json'], 'nothing else is left')
})

await t.test('a reader never sees half a file, however many write', async (t) => {
  const cache = directoryCache(t.testdir())
  const versions = Array.from({ length: 20 }, (_, i) => Buffer.alloc(100_000, i))
  let done = false
  const readers = Array.from({ length: 4 }, async () => {
    while (!done) {
      const bytes = await cache.load('targets.json')
      if (bytes !== undefined && !bytes.every((byte) => byte === bytes[0])) t.fail('torn file')
    }
  })
  await Promise.all(versions.map((bytes) => cache.store('targets.json', bytes)))
  done = true
  await Promise.all(readers)
  t.equal((await cache.load('targets.json'))?.length, 100_000)
})

await t.test('what a killed writer left is swept up once it is old', async (t) => {
  const folder = t.testdir()
  for (const name of ['.old.tmp', '.new.tmp']) writeFileSync(join(folder, name), 'half')
  utimesSync(join(folder, '.old.tmp'), new Date(0), new Date(0))
  await directoryCache(folder).lock(async () => undefined)
  t.same(
    readdirSync(folder).filter((name) => name.endsWith('.tmp')),
    ['.new.tmp'],
  )
})

await t.test('a folder that cannot be used is refused with words', async (t) => {
  await t.test('because a file is in its place', async (t) => {
    const folder = join(t.testdir({ file: 'x' }), 'file')
    await t.rejects(directoryCache(folder).store('root.json', Buffer.from('x')), { code: 'CACHE_UNUSABLE' })
    await t.rejects(directoryCache(folder).load('root.json'), { code: 'CACHE_UNUSABLE' })
    await t.rejects(
      directoryCache(folder).lock(async () => undefined),
      { code: 'CACHE_UNUSABLE' },
    )
  })
  await t.test('because a folder is where a file should be', async (t) => {
    const folder = t.testdir({ 'root.json': {} })
    await t.rejects(directoryCache(folder).load('root.json'), { code: 'CACHE_UNUSABLE' })
  })
  await t.test('because the system lets nobody write there, root included', async (t) => {
    await t.rejects(directoryCache('/sys/tagseal').store('root.json', Buffer.from('x')), { code: 'CACHE_UNUSABLE' })
  })
})

await t.test('no name leaves the folder', async (t) => {
  const cache = directoryCache(t.testdir())
  for (const name of ['../x.json', 'a/b', '', '.', '..', '.hidden', 'a\\b', 'a\0b']) {
    await t.rejects(cache.store(name, Buffer.from('x')), Error)
    await t.rejects(cache.load(name), Error)
  }
})
