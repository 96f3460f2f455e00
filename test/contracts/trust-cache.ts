import type { Test } from 'tap'
import type { TrustCache } from '../../client/trust/cache.ts'

const bytes = (text: string) => Buffer.from(text)
const textOf = (loaded: Uint8Array | undefined) => loaded && Buffer.from(loaded).toString()

/** What every cache of trusted files promises. `open` gives an empty one, and `again` the same once more. */
export async function trustCacheContract(
  t: Test,
  open: (t: Test) => { readonly cache: TrustCache; readonly again: () => TrustCache },
): Promise<void> {
  await t.test('has nothing at first', async (t) => {
    t.equal(await open(t).cache.load('root.json'), undefined)
  })

  await t.test('gives back what was stored last, under its own name', async (t) => {
    const { cache, again } = open(t)
    await cache.store('root.json', bytes('first'))
    await cache.store('root.json', bytes('second'))
    await cache.store('..%2Fx.json'.slice(2), bytes('a delegated role'))
    t.equal(textOf(await cache.load('root.json')), 'second')
    t.equal(textOf(await again().load('%2Fx.json')), 'a delegated role')
  })

  await t.test('keeps its own bytes, whatever the caller does to theirs', async (t) => {
    const { cache } = open(t)
    const mine = bytes('original')
    await cache.store('root.json', mine)
    mine.fill(0)
    const loaded = await cache.load('root.json')
    loaded?.fill(0)
    t.equal(textOf(await cache.load('root.json')), 'original')
  })

  await t.test('drops what is there and what is not', async (t) => {
    const { cache } = open(t)
    await cache.store('timestamp.json', bytes('x'))
    await cache.drop('timestamp.json')
    await cache.drop('timestamp.json')
    t.equal(await cache.load('timestamp.json'), undefined)
  })

  await t.test('drops all metadata but some, and leaves what is no metadata', async (t) => {
    const { cache } = open(t)
    for (const name of ['root.json', 'targets.json', 'team.json', 'seen']) await cache.store(name, bytes(name))
    await cache.dropAllBut(['root.json'])
    const left = await Promise.all(['root.json', 'targets.json', 'team.json', 'seen'].map(cache.load))
    t.same(left.map(textOf), ['root.json', undefined, undefined, 'seen'])
  })

  await t.test('lets one at a time into the lock, and the next one in after a failure', async (t) => {
    const { cache, again } = open(t)
    let inside = 0
    let most = 0
    const visit = async (holder: TrustCache, fail: boolean) =>
      await holder.lock(async () => {
        most = Math.max(most, ++inside)
        await new Promise((resolve) => setImmediate(resolve))
        inside--
        if (fail) throw new Error('failed inside')
        return 'done'
      })
    const all = Array.from({ length: 20 }, (_, i) => visit(i % 2 === 0 ? cache : again(), i % 5 === 0))
    const results = await Promise.allSettled(all)
    t.equal(most, 1)
    t.equal(results.filter(({ status }) => status === 'fulfilled').length, 16)
  })
}
