import t from 'tap'
import { checkedNow, rememberChecked } from '../../../client/publish/checked.ts'
import { ClientError } from '../../../client/trust/errors.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'

const NOW = Date.UTC(2026, 5, 1)
const DIGEST = `sha256:${'a'.repeat(64)}`
const CHECKED = { digest: DIGEST, length: 1234 }

async function remembering() {
  const cache = memoryCache()
  await rememberChecked(cache, NOW, CHECKED)
  return cache
}

const ASKED: Record<string, { after: number; digest?: string; known: boolean }> = {
  'at once': { after: 0, known: true },
  'within the minute': { after: 59_999, known: true },
  'a minute later': { after: 60_000, known: false },
  'under a clock that was set back': { after: -1, known: false },
  'for another digest': { after: 0, digest: `sha256:${'b'.repeat(64)}`, known: false },
}
for (const [name, { after, digest = DIGEST, known }] of Object.entries(ASKED)) {
  await t.test(`an image that was checked is ${known ? 'known' : 'looked for again'} ${name}`, async (t) => {
    const found = await checkedNow(await remembering(), NOW + after, digest)
    t.strictSame(found, known ? CHECKED : undefined)
  })
}

await t.test('whatever happens to the file, nothing wrong comes out of it', async (t) => {
  const cache = await remembering()
  const bytes = (await cache.load('checked')) ?? new Uint8Array()
  for (let i = 0; i < bytes.length; i++) {
    const damaged = bytes.map((byte, at) => (at === i ? byte ^ 1 : byte))
    await cache.store('checked', damaged)
    if ((await checkedNow(cache, NOW, DIGEST)) !== undefined) t.fail(`byte ${i}`)
    await cache.store('checked', bytes.subarray(0, i))
    if ((await checkedNow(cache, NOW, DIGEST)) !== undefined) t.fail(`cut at ${i}`)
  }
  await cache.store('checked', bytes)
  t.strictSame(await checkedNow(cache, NOW, DIGEST), CHECKED)
  t.equal(await checkedNow(memoryCache(), NOW, DIGEST), undefined, 'nor out of none')
})

await t.test('a disk that is full keeps nobody from signing; a bug is not hidden', async (t) => {
  const failing = (error: Error) => ({
    ...memoryCache(),
    async store() {
      throw error
    },
  })
  const full = new ClientError('CACHE_UNUSABLE', { path: 'state', reason: 'the disk is full' })
  await t.resolves(rememberChecked(failing(full), NOW, CHECKED))
  await t.rejects(rememberChecked(failing(new Error('a bug')), NOW, CHECKED), { message: 'a bug' })
})
