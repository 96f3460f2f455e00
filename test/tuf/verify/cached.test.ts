import t from 'tap'
import { SNAPSHOT, TIMESTAMP, stillTrusted, instant } from '../../../tuf/index.ts'
import { walkedRoot } from '../../support/refresh.ts'
import { DAY, NOW, Simulator } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'

const ALICE = signingKey()
const BOB = signingKey()

await t.test('a cached file is trusted while its keys are, even expired', async (t) => {
  const repository = new Simulator()
  const later = walkedRoot(repository, repository.judge({ now: instant(NOW + 30 * DAY) }))
  t.equal(stillTrusted(later, 'timestamp', repository.newest(TIMESTAMP))?.version, 1)
  t.equal(stillTrusted(later, 'snapshot', repository.newest(SNAPSHOT))?.version, 1)
})

await t.test('a damaged one, another one or a tampered one is not', async (t) => {
  const repository = new Simulator()
  const trust = walkedRoot(repository)
  const bytes = repository.newest(SNAPSHOT)
  t.equal(stillTrusted(trust, 'snapshot', bytes.subarray(0, 100)), undefined)
  t.equal(stillTrusted(trust, 'snapshot', repository.newest(TIMESTAMP)), undefined)
  const tampered = new TextEncoder().encode(new TextDecoder().decode(bytes).replace('"version":1', '"version":2'))
  t.equal(stillTrusted(trust, 'snapshot', tampered), undefined)
})

await t.test('one signed by keys that left the root is not', async (t) => {
  const repository = new Simulator({ keys: { timestamp: [ALICE], snapshot: [ALICE] } })
  repository.publishRoot({ timestamp: [BOB] })
  const trust = walkedRoot(repository)
  t.equal(stillTrusted(trust, 'timestamp', repository.newest(TIMESTAMP)), undefined)
  t.equal(stillTrusted(trust, 'snapshot', repository.newest(SNAPSHOT))?.version, 1)
})

await t.test('what goes wrong otherwise is not taken for a bad file', async (t) => {
  const repository = new Simulator()
  const trust = walkedRoot(repository)
  const broken = {
    ...trust,
    suite: {
      ...trust.suite,
      open: () => {
        throw new RangeError('out of memory')
      },
    },
  }
  t.throws(() => stillTrusted(broken, 'timestamp', repository.newest(TIMESTAMP)), RangeError)
})
