import { setTimeout as later } from 'node:timers/promises'
import t from 'tap'
import { generateKey } from '../../../keys/native/generate.ts'
import type { Signer } from '../../../keys/signer.ts'
import { keepOpened } from '../../../server/signing/opened-keys.ts'

const PAYLOAD = Buffer.from('what is signed')

/** Opens real keys, and tells of each whether it is open: what is closed signs nothing. */
function opener() {
  const opened: Signer[] = []
  return {
    opened,
    async make() {
      const secret = await generateKey('ed25519')
      return () => {
        opened.push(secret)
        return secret
      }
    },
    async open() {
      const states = opened.map((signer) =>
        signer.sign(PAYLOAD).then(
          () => true,
          () => false,
        ),
      )
      return Promise.all(states)
    },
  }
}

const sign = (signer: Signer) => signer.sign(PAYLOAD)

await t.test('a key that signs twice in a row is opened once', async (t) => {
  const { opened, make, open } = opener()
  const keys = keepOpened({ most: 2, forMs: 60_000 })
  const key = await make()
  t.same(await keys.lend('a', key, sign), await keys.lend('a', key, sign))
  t.equal(opened.length, 1)
  t.same(await open(), [true])
  keys.close()
  t.same(await open(), [false], 'and closed with the rest')
})

await t.test('a key is closed when nobody used it for a while', async (t) => {
  const { opened, make, open } = opener()
  const keys = keepOpened({ most: 2, forMs: 5 })
  await keys.lend('a', await make(), sign)
  await later(100)
  t.same(await open(), [false])
  await keys.lend('a', await make(), sign)
  t.equal(opened.length, 2)
  keys.close()
})

await t.test('of more keys than are kept, the one that was used the longest ago is closed', async (t) => {
  const { make, open } = opener()
  const keys = keepOpened({ most: 2, forMs: 60_000 })
  const [a, b, c] = [await make(), await make(), await make()]
  await keys.lend('a', a, sign)
  await keys.lend('b', b, sign)
  await keys.lend('a', a, sign)
  await keys.lend('c', c, sign)
  t.same(await open(), [true, false, true])
  keys.close()
})

await t.test('two that sign at once have a key each, and one of them is kept', async (t) => {
  const { opened, make, open } = opener()
  const keys = keepOpened({ most: 2, forMs: 60_000 })
  const [one, other] = [await make(), await make()]
  await Promise.all([keys.lend('a', one, sign), keys.lend('a', other, sign)])
  t.equal(opened.length, 2)
  t.equal((await open()).filter((isOpen) => isOpen).length, 1)
  keys.close()
})

await t.test('a key whose use failed is closed, and a key that cannot be opened is told', async (t) => {
  const { make, open } = opener()
  const keys = keepOpened({ most: 2, forMs: 60_000 })
  const broken = async () => {
    throw new RangeError('broken')
  }
  await t.rejects(keys.lend('a', await make(), broken), RangeError)
  t.same(await open(), [false])
  const damaged = () => {
    throw new SyntaxError('damaged')
  }
  await t.rejects(keys.lend('a', damaged, sign), SyntaxError)
})
