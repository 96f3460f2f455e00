import t from 'tap'
import { RegistryError } from '../../../client/registry/errors.ts'
import { share } from '../../../client/registry/share.ts'

const refused = new RegistryError('TOO_LARGE', { what: 'it', limit: 1 })

await t.test('what several ask for at once', async (t) => {
  await t.test('is made once, and made again for whoever comes later', async (t) => {
    const underway = new Map<string, Promise<number>>()
    let made = 0
    const ask = () => share(underway, 'a', async () => ++made)
    t.same(await Promise.all([ask(), ask(), ask()]), [1, 1, 1])
    t.equal(await ask(), 2)
  })
  await t.test('fails for all of them, once', async (t) => {
    const underway = new Map<string, Promise<number>>()
    let made = 0
    const fail = async () => {
      made++
      throw refused
    }
    const all = await Promise.allSettled([1, 2, 3].map(() => share(underway, 'a', fail)))
    t.same(
      all.map((one) => one.status === 'rejected' && one.reason === refused),
      [true, true, true],
    )
    t.equal(made, 1)
    t.equal(underway.size, 0)
  })
  await t.test('is begun anew when the one who began it has stopped', async (t) => {
    const underway = new Map<string, Promise<number>>()
    const stopped = t.rejects(
      share(underway, 'a', () => Promise.reject(new Error('enough'))),
      { message: 'enough' },
    )
    let made = 0
    const others = [1, 2].map(() => share(underway, 'a', async () => ++made))
    await stopped
    t.same(await Promise.all(others), [1, 1])
  })
  await t.test('is not begun by one who has stopped as well', async (t) => {
    const underway = new Map<string, Promise<number>>()
    const stopped = t.rejects(
      share(underway, 'a', () => Promise.reject(new Error('enough'))),
      { message: 'enough' },
    )
    const begin = () => Promise.reject(new Error('begun'))
    await t.rejects(share(underway, 'a', begin, AbortSignal.abort(new Error('me too'))), { message: 'me too' })
    await stopped
  })
})
