import t from 'tap'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { refresh } from '../../../client/trust/refresh.ts'
import type { Pin } from '../../../client/trust/pins.ts'
import { roleName } from '../../../tuf/index.ts'
import { REPOSITORY_FIELD } from '../../../tuf/model/repository.ts'
import { signatureOf, Simulator } from '../../support/simulator.ts'
import { renamed, signingKey } from '../../support/signing-key.ts'
import type { SigningKey } from '../../support/signing-key.ts'

const NAME = 'registry.example.com/team/app'
const NAMED = new Map([[REPOSITORY_FIELD, NAME]])
const [ALICE, BOB, CAROL, MALLORY] = [signingKey(), signingKey(), signingKey(), signingKey()]

const keys = (need: number, ...pinned: SigningKey[]): Pin => ({
  kind: 'keys',
  keyids: pinned.map(({ id }) => id),
  threshold: need,
})
const repository = (...root: SigningKey[]) =>
  new Simulator({ keys: { root }, thresholds: { root: root.length }, unknown: NAMED })

async function start(simulator: Simulator, anchor: Pin, required = anchor.kind === 'keys', cache = memoryCache()) {
  simulator.requests.length = 0
  const name = { repository: NAME, required }
  return await refresh({ judge: simulator.judge(), source: simulator, cache, anchor, name })
}

await t.test('keys pin a repository that did not exist when they were pinned', async (t) => {
  const ACCEPTED: Record<string, { root: SigningKey[]; pin: Pin }> = {
    'its only key': { root: [ALICE], pin: keys(1, ALICE) },
    'one of several pinned keys': { root: [BOB], pin: keys(1, ALICE, BOB) },
    'two of three pinned keys': { root: [ALICE, CAROL], pin: keys(2, ALICE, BOB, CAROL) },
  }
  for (const [name, { root, pin }] of Object.entries(ACCEPTED)) {
    await t.test(`signed by ${name}`, async (t) => {
      const simulator = repository(...root)
      t.equal((await start(simulator, pin)).root.version, 1)
      t.same(simulator.requests, ['root.json', '2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json'])
    })
  }
})

await t.test('and no other', async (t) => {
  const REFUSED: Record<string, { root: SigningKey[]; pin: Pin }> = {
    'signed by a stranger': { root: [MALLORY], pin: keys(1, ALICE) },
    'signed by too few of them': { root: [ALICE, MALLORY], pin: keys(2, ALICE, BOB) },
    'signed by one key under two ids': {
      root: [ALICE, renamed(ALICE, 'again')],
      pin: keys(2, ALICE, renamed(ALICE, 'again')),
    },
  }
  for (const [name, { root, pin }] of Object.entries(REFUSED)) {
    await t.test(name, async (t) => {
      const cache = memoryCache()
      const simulator = new Simulator({ keys: { root }, unknown: NAMED })
      await t.rejects(start(simulator, pin, true, cache), { code: 'PIN_NOT_MET', detail: { repository: NAME } })
      t.equal(await cache.load('root.json'), undefined, 'nothing was stored')
    })
  }
  await t.test('that only lists a pinned key beside its own', async (t) => {
    const simulator = repository(MALLORY)
    const listed = new Map([...simulator.root.keys, [ALICE.id, ALICE.public] as const])
    simulator.root = { ...simulator.root, keys: listed }
    const forged = {
      keyid: ALICE.id,
      sig: MALLORY.sign(simulator.context(0).codec.encode(simulator.root)),
      unknown: new Map(),
    }
    const bytes = simulator
      .context(0)
      .codec.assemble(simulator.root, [signatureOf(MALLORY, simulator.context(0).codec.encode(simulator.root)), forged])
    for (const name of ['root.json', '1.root.json']) simulator.files.set(name, bytes)
    await t.rejects(start(simulator, keys(1, ALICE)), { code: 'PIN_NOT_MET' })
  })
  await t.test('whose newest root is not signed by itself', async (t) => {
    const simulator = repository(ALICE, BOB)
    simulator.files.set('root.json', simulator.seal(simulator.root, [ALICE]))
    await t.rejects(start(simulator, keys(1, ALICE)), { code: 'THRESHOLD' })
  })
  await t.test('that is not there', async (t) => {
    const simulator = repository(ALICE)
    simulator.files.delete('root.json')
    await t.rejects(start(simulator, keys(1, ALICE)), { code: 'NO_TRUST_DATA' })
  })
})

await t.test('keys that left the root since still lead to it', async (t) => {
  const simulator = repository(ALICE)
  simulator.publishRoot({ root: [BOB] })
  simulator.publishRoot({ root: [CAROL] })
  simulator.publishRoot()
  t.equal((await start(simulator, keys(1, ALICE))).root.version, 4)
  t.same(simulator.requests.slice(0, 4), ['root.json', '1.root.json', '2.root.json', '3.root.json'])
  t.equal((await start(simulator, keys(1, BOB))).root.version, 4, 'from the middle of the chain')
  await t.rejects(start(simulator, keys(1, MALLORY)), {
    code: 'PIN_NOT_MET',
    detail: { searched: 4 },
    message: /signed by the pinned key [0-9a-f]{12} \(4 looked at\)$/,
  })
})

await t.test('a chain that breaks after the pinned root is refused', async (t) => {
  const simulator = repository(ALICE)
  const thief = new Simulator({ keys: { root: [MALLORY] }, unknown: NAMED })
  thief.publishRoot()
  simulator.files.set('2.root.json', thief.file('2.root.json'))
  await t.rejects(start(simulator, keys(1, ALICE)), { code: 'THRESHOLD' })
})

await t.test('metadata of one repository served for another', async (t) => {
  const served = (unknown: ReadonlyMap<string, string>) => new Simulator({ keys: { root: [ALICE] }, unknown })
  const other = new Map([[REPOSITORY_FIELD, 'registry.example.com/team/other']])
  await t.test('is refused under pinned keys', async (t) => {
    const cache = memoryCache()
    await t.rejects(start(served(other), keys(1, ALICE), true, cache), {
      code: 'REPOSITORY_MISMATCH',
      detail: { repository: NAME, named: 'registry.example.com/team/other' },
    })
    t.equal(await cache.load('root.json'), undefined, 'nothing was stored')
  })
  await t.test('is refused under pinned keys where it names none', async (t) => {
    await t.rejects(start(served(new Map()), keys(1, ALICE)), {
      code: 'REPOSITORY_MISMATCH',
      detail: { named: undefined },
    })
  })
  await t.test('is refused under a root file', async (t) => {
    const simulator = served(other)
    const anchor: Pin = { kind: 'root', bytes: simulator.anchor() }
    await t.rejects(start(simulator, anchor), { code: 'REPOSITORY_MISMATCH' })
    t.same(simulator.requests, [], 'without a request')
  })
  await t.test('is refused on first use', async (t) => {
    await t.rejects(start(served(other), { kind: 'tofu' }), { code: 'REPOSITORY_MISMATCH' })
  })
  await t.test('cannot happen to a root file for one repository, which may name none', async (t) => {
    const simulator = served(new Map())
    await t.resolves(start(simulator, { kind: 'root', bytes: simulator.anchor() }))
  })
})

await t.test('first use', async (t) => {
  await t.test('takes the root that comes, and no other afterwards', async (t) => {
    const cache = memoryCache()
    const simulator = repository(ALICE)
    simulator.publishRoot()
    t.equal((await start(simulator, { kind: 'tofu' }, false, cache)).root.version, 2)
    const impostor = repository(MALLORY)
    impostor.publishRoot()
    impostor.publishRoot()
    await t.rejects(start(impostor, { kind: 'tofu' }, false, cache), { code: 'THRESHOLD' })
  })
  await t.test('is over as soon as a pin is given', async (t) => {
    const cache = memoryCache()
    await start(repository(MALLORY), { kind: 'tofu' }, false, cache)
    await t.rejects(start(repository(MALLORY), keys(1, ALICE), true, cache), { code: 'PIN_NOT_MET' })
  })
})

await t.test('a root file that is no root asks the network nothing', async (t) => {
  const simulator = repository(ALICE)
  const unsigned = simulator.seal(simulator.root, [MALLORY])
  for (const bytes of [Buffer.from(''), Buffer.from('{}'), unsigned, simulator.newest(roleName('targets'))]) {
    await t.rejects(start(simulator, { kind: 'root', bytes }), { name: 'TrustError' })
    t.same(simulator.requests, [])
  }
})
