import t from 'tap'
import {
  DEFAULT_LIMITS,
  ROOT,
  acceptRoot,
  authorityOf,
  finishRoot,
  instant,
  onlineKeys,
  openRoot,
  roleName,
  version,
} from '../../../tuf/index.ts'
import { DAY, NOW, Simulator } from '../../support/simulator.ts'
import { signingKey } from '../../support/signing-key.ts'
import { walkedRoot } from '../../support/refresh.ts'

const ALICE = signingKey()
const BOB = signingKey()
const CAROL = signingKey()
const MALLORY = signingKey()

const repository = new Simulator({ keys: { root: [ALICE, BOB] }, thresholds: { root: 2 } })
const ROOT_1 = repository.root
const ANCHOR = repository.anchor()
const JUDGE = repository.judge()
const ROOT_2 = repository.publishRoot({ root: [BOB, CAROL] }, { thresholds: { root: 2 } })

await t.test('the first root', async (t) => {
  await t.test('is signed by itself', async (t) => {
    t.equal(openRoot(JUDGE, ANCHOR).root.version, 1)
    t.throws(() => openRoot(JUDGE, repository.seal(ROOT_1, [ALICE])), { code: 'THRESHOLD' })
    t.throws(() => openRoot(JUDGE, repository.seal(ROOT_1, [ALICE, MALLORY])), { code: 'THRESHOLD' })
    t.throws(() => openRoot(JUDGE, repository.seal(ROOT_1, [])), { code: 'THRESHOLD' })
  })
  await t.test('may have expired, as long as it is not the last', async (t) => {
    const late = { ...JUDGE, now: instant(NOW + 4000 * DAY) }
    t.equal(openRoot(late, ANCHOR).root.version, 1)
    t.throws(() => finishRoot(openRoot(late, ANCHOR)), { code: 'EXPIRED' })
  })
  await t.test('may be no larger than the limit', async (t) => {
    const limits = { ...DEFAULT_LIMITS, root: ANCHOR.length }
    t.equal(openRoot({ ...JUDGE, limits }, ANCHOR).root.version, 1)
    const tighter = { ...limits, root: ANCHOR.length - 1 }
    t.throws(() => openRoot({ ...JUDGE, limits: tighter }, ANCHOR), { code: 'TOO_LARGE' })
  })
  await t.test('is no other file', async (t) => {
    t.throws(() => openRoot(JUDGE, repository.file('timestamp.json')), { code: 'MALFORMED' })
  })
})

const NEXT: Record<string, { readonly bytes: Uint8Array; readonly refused?: string }> = {
  'the old threshold and the new': { bytes: repository.seal(ROOT_2, [ALICE, BOB, CAROL]) },
  'the new threshold alone': { bytes: repository.seal(ROOT_2, [BOB, CAROL]), refused: 'THRESHOLD' },
  'the old threshold alone': { bytes: repository.seal(ROOT_2, [ALICE, BOB]), refused: 'THRESHOLD' },
  strangers: { bytes: repository.seal(ROOT_2, [MALLORY]), refused: 'THRESHOLD' },
  'both, but it is the same version again': {
    bytes: repository.seal({ ...ROOT_2, version: version(1) }, [ALICE, BOB, CAROL]),
    refused: 'ROLLBACK',
  },
  'both, but a version is left out': {
    bytes: repository.seal({ ...ROOT_2, version: version(3) }, [ALICE, BOB, CAROL]),
    refused: 'VERSION_MISMATCH',
  },
}
for (const [name, { bytes, refused }] of Object.entries(NEXT)) {
  await t.test(`${refused ? 'refuses' : 'accepts'} a next root signed by ${name}`, async (t) => {
    const trust = openRoot(JUDGE, ANCHOR)
    if (refused === undefined) t.equal(acceptRoot(trust, bytes).root.version, 2)
    else {
      t.throws(() => acceptRoot(trust, bytes), { code: refused })
      t.equal(trust.root.version, 1, 'what was trusted before stays as it was')
      t.equal(acceptRoot(trust, repository.file('2.root.json')).root.version, 2, 'and a good root still follows')
    }
  })
}

await t.test('a next root may be no larger than the limit', async (t) => {
  const trust = openRoot({ ...JUDGE, limits: { ...DEFAULT_LIMITS, root: ANCHOR.length } }, ANCHOR)
  t.throws(() => acceptRoot(trust, new Uint8Array(ANCHOR.length + 1)), { code: 'TOO_LARGE' })
})

await t.test('an expired root in the middle of the chain does not stop it', async (t) => {
  const chain = new Simulator()
  chain.publishRoot({}, { twist: (root) => ({ ...root, ...expiring(chain, -1) }) })
  t.throws(() => walkedRoot(chain), { code: 'EXPIRED' })
  chain.publishRoot()
  t.equal(walkedRoot(chain).root.version, 3)
})

await t.test('a root expires at the very moment it names', async (t) => {
  const chain = new Simulator()
  chain.publishRoot({}, { twist: (root) => ({ ...root, ...expiring(chain, 0) }) })
  t.throws(() => walkedRoot(chain), { code: 'EXPIRED', detail: { role: 'root', expired: NOW, now: NOW } })
  t.equal(walkedRoot(chain, chain.judge({ now: instant(NOW - 1) })).root.version, 2)
})

await t.test('the online keys as one text', async (t) => {
  const chain = new Simulator()
  const before = onlineKeys(chain.root)
  await t.test('stay the same while only other roles change', async (t) => {
    t.equal(onlineKeys(chain.publishRoot({ root: [ALICE], targets: [BOB] })), before)
  })
  await t.test('do not depend on the order of the keys', async (t) => {
    const [one, other] = [
      new Simulator({ keys: { timestamp: [ALICE, BOB] } }),
      new Simulator({ keys: { timestamp: [BOB, ALICE] } }),
    ]
    const timestampOf = (text: string) => text.split(' ')[0]
    t.equal(timestampOf(onlineKeys(one.root)), timestampOf(onlineKeys(other.root)))
  })
  await t.test('change with a key of the timestamp or the snapshot', async (t) => {
    t.not(onlineKeys(chain.publishRoot({ timestamp: [ALICE] })), before)
    t.not(onlineKeys(chain.publishRoot({ snapshot: [ALICE] })), onlineKeys(chain.publishRoot({ snapshot: [BOB] })))
  })
})

await t.test('a role that the root does not name has no authority', async (t) => {
  t.equal(authorityOf(ROOT_1, ROOT).role.threshold, 2)
  t.throws(() => authorityOf(ROOT_1, roleName('mirrors')), { code: 'MALFORMED' })
})

function expiring(simulator: Simulator, days: number) {
  const { codec, expires } = simulator.context(days)
  return { expires: instant(expires), expiresText: codec.date(expires) }
}
