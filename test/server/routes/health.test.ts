import t from 'tap'
import { Kek } from '../../../keys/kek.ts'
import { randomBytes } from '../../../keys/random.ts'
import { seal } from '../../../keys/sealed.ts'
import { openTestServer } from '../support/app.ts'

await t.test('is not ready where the signing keys in the storage are not ours to open', async (t) => {
  const server = await openTestServer(t)
  t.equal((await server.get('/readyz')).statusCode, 200)
  const other = new Kek(randomBytes(32), 'another')
  const swapped = seal(other, ['kek check'], randomBytes(16))
  Object.assign(server.services.deps.store.settings, { get: () => Promise.resolve(swapped) })
  const answer = await server.get('/readyz')
  t.equal(answer.statusCode, 503)
  t.match(answer.json(), { errors: [{ code: 'UNAVAILABLE' }] })
  t.equal((await server.get('/healthz')).statusCode, 200)
})
