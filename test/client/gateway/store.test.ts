import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { openStore } from '../../../client/gateway/store.ts'
import type { Store } from '../../../client/gateway/store.ts'
import { sha256 } from '../../support/images.ts'

const bytes = (name: string, size = 100) => Buffer.alloc(size, name)
const pathOf = (folder: string, digest: string) => join(folder, 'sha256', digest.slice(7, 9), digest.slice(7))

async function put(store: Store, content: Buffer): Promise<string> {
  const digest = sha256(content)
  const incoming = await store.receive(digest, content.length)
  if (incoming === undefined) return digest
  await incoming.handle.writeFile(content)
  await incoming.commit()
  await incoming.close()
  return digest
}
async function get(store: Store, digest: string, size = 100): Promise<string | undefined> {
  const kept = await store.open(digest, size)
  if (kept === undefined) return undefined
  const text = await kept.handle.readFile('utf8')
  await kept.handle.close()
  return text
}

await t.test('what was kept is there again, also after a restart', async (t) => {
  const folder = t.testdir()
  const store = await openStore(folder, 1000)
  const digest = await put(store, bytes('a'))
  t.equal(await get(store, digest), bytes('a').toString())
  t.equal(await get(store, sha256(bytes('b'))), undefined)
  const again = await openStore(folder, 1000)
  t.same([await get(again, digest), again.bytes()], [bytes('a').toString(), 100])
})

await t.test('what was not committed is not there, and nothing of it stays', async (t) => {
  const folder = t.testdir()
  const store = await openStore(folder, 1000)
  const incoming = await store.receive(sha256(bytes('a')), 100)
  await incoming?.handle.writeFile(bytes('a'))
  await incoming?.close()
  t.same([await get(store, sha256(bytes('a'))), store.bytes()], [undefined, 0])
  t.same(readdirSync(join(folder, 'incoming')), [])
})

await t.test('what a killed process was writing is gone at the next start', async (t) => {
  const folder = t.testdir()
  const store = await openStore(folder, 1000)
  const incoming = await store.receive(sha256(bytes('a')), 100)
  await incoming?.handle.writeFile(bytes('a').subarray(0, 50))
  await openStore(folder, 1000)
  t.same(readdirSync(join(folder, 'incoming')), [])
  await incoming?.handle.close()
})

const DAMAGE: Record<string, (path: string) => void> = {
  'other bytes of the same length': (path) => writeFileSync(path, bytes('evil')),
  'other bytes under the old date': (path) => {
    const { atime, mtime } = statSync(path)
    writeFileSync(path, bytes('evil'))
    utimesSync(path, atime, mtime)
  },
  'fewer bytes': (path) => writeFileSync(path, 'short'),
  'no bytes': (path) => writeFileSync(path, ''),
}
for (const [name, damage] of Object.entries(DAMAGE)) {
  for (const restarted of [false, true]) {
    await t.test(`${name} are found out ${restarted ? 'after a restart' : 'while it runs'}`, async (t) => {
      const folder = t.testdir()
      const store = await openStore(folder, 1000)
      const digest = await put(store, bytes('a'))
      t.ok(await get(store, digest))
      damage(pathOf(folder, digest))
      const looking = restarted ? await openStore(folder, 1000) : store
      t.equal(await get(looking, digest), undefined)
      t.equal(await get(looking, await put(looking, bytes('a'))), bytes('a').toString(), 'and it can be kept anew')
    })
  }
}

await t.test('what was not used for longest goes first, and never more is kept than allowed', async (t) => {
  const folder = t.testdir()
  const store = await openStore(folder, 300)
  const [a, b, c] = [await put(store, bytes('a')), await put(store, bytes('b')), await put(store, bytes('c'))]
  await get(store, a)
  const d = await put(store, bytes('d'))
  const there = await Promise.all([a, b, c, d].map((digest) => get(store, digest)))
  t.same(
    there.map((text) => text?.[0]),
    ['a', undefined, 'c', 'd'],
  )
  t.equal(await store.receive(sha256(bytes('e', 301)), 301), undefined, 'what alone is too large is not kept')
  t.equal((await openStore(folder, 150)).bytes(), 100, 'nor is it after a start with less room')
})

await t.test('what is being written counts as well, so that many at once take no more than allowed', async (t) => {
  const store = await openStore(t.testdir(), 250)
  await put(store, bytes('a'))
  const asked = ['b', 'c', 'd'].map((name) => store.receive(sha256(bytes(name)), 100))
  const [b, c, d] = await Promise.all(asked)
  t.equal(d, undefined, 'there is room for two, and none for a third')
  t.ok(b && c)
  t.equal(store.bytes(), 0, 'what was kept made room for them')
  await Promise.all([b?.close(), c?.close()])
  t.ok(await get(store, await put(store, bytes('d'))), 'and there is room again when they are gone')
})

await t.test('what others left in the folder stays', async (t) => {
  const folder = t.testdir()
  const other = join(folder, 'sha256', 'zz', 'readme')
  mkdirSync(dirname(other), { recursive: true })
  writeFileSync(other, 'mine')
  t.equal((await openStore(folder, 0)).bytes(), 0)
  t.ok(statSync(other))
})
