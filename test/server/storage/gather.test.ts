import t from 'tap'
import { gather } from '../../../server/storage/gather.ts'

await t.test('what is asked for in one turn is done together, and later things later', async (t) => {
  const batches: number[][] = []
  const double = gather((items: readonly number[]) => {
    batches.push([...items])
    return items.map((item) => ({ value: item * 2 }))
  })
  t.same(await Promise.all([double(1), double(2), double(3)]), [2, 4, 6])
  t.equal(await double(4), 8)
  t.same(batches, [[1, 2, 3], [4]])
})

await t.test('an error is of the one that made it, or of all where all of it failed', async (t) => {
  const broken = new Error('broken')
  const odd = gather((items: readonly number[]) => {
    if (items.includes(0)) throw broken
    return items.map((item) => (item % 2 === 0 ? { error: broken } : { value: item }))
  })
  t.match(await Promise.allSettled([odd(1), odd(2), odd(3)]), [{ value: 1 }, { reason: broken }, { value: 3 }])
  t.match(await Promise.allSettled([odd(1), odd(0)]), [{ reason: broken }, { reason: broken }])
})
