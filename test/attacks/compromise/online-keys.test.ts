/** Whoever takes the server's keys drives versions up for whom he reaches. One command ends it for everybody. */
import t from 'tap'
import type { Test } from 'tap'
import { makeJudge } from '../../../server/publish/publisher.ts'
import { newFile } from '../../../server/publish/validate.ts'
import { SNAPSHOT, TARGETS, TIMESTAMP, version } from '../../../tuf/index.ts'
import type { RoleName } from '../../../tuf/index.ts'
import { digestOf, founded, REPOSITORY, succeeds, verdictOn } from '../../support/incident-lab.ts'
import type { Founded, FoundingOptions, Person } from '../../support/incident-lab.ts'
import { forgeSnapshot, forgeTimestamp, intercept, stealOnline } from '../../support/thief.ts'
import type { Interceptor, StolenKey } from '../../support/thief.ts'

const HIGHEST = Number.MAX_SAFE_INTEGER
const GOOD = digestOf('good')

type Dialect = FoundingOptions & { readonly name: 'tuf-1.0' | 'notary-v1'; readonly highest: number }
const DIALECTS: Readonly<Record<string, Dialect>> = {
  'TUF 1.0': { name: 'tuf-1.0', highest: HIGHEST },
  'Notary v1': { name: 'notary-v1', highest: 2 ** 31 - 2, init: () => ['--dialect', 'notary'] },
}

type Loot = { readonly timestamp: StolenKey; readonly snapshot: StolenKey }
type Scene = { readonly lab: Founded; readonly loot: Loot; readonly between: Interceptor; readonly highest: number }
type Theft = {
  /** What the thief serves to whom he reaches. */
  readonly forge: (scene: Scene) => Promise<void>
  /** What those make of it whom he reaches: one that was there before, and one that is new. */
  readonly fooled: string
  readonly stranger?: string
  /** What they make of it once they have moved on. */
  readonly later?: string
  readonly command: 'timestamp' | 'snapshot'
}

const forging = async ({ lab, between, highest }: Scene) => {
  return { to: highest, now: lab.clock.now, rootFile: await between.genuine('root.json') }
}
const serveTimestamp = async (scene: Scene, snapshot: Uint8Array) => {
  const { between, loot } = scene
  const genuine = await between.genuine('timestamp.json')
  between.files.set('timestamp.json', await forgeTimestamp(loot.timestamp, genuine, snapshot, await forging(scene)))
}
const serveSnapshot = ({ between }: Scene, file: Uint8Array) => {
  // Consistent snapshots are asked for by version, those of Notary as they are.
  for (const name of [`${HIGHEST}.snapshot.json`, 'snapshot.json']) between.files.set(name, file)
}

const THEFTS: Readonly<Record<string, Theft>> = {
  'the timestamp key, and announces the true snapshot at the highest version': {
    forge: async (scene) => serveTimestamp(scene, await scene.between.genuine('snapshot.json')),
    fooled: GOOD,
    command: 'timestamp',
  },
  'the snapshot key alone, which no timestamp of his can announce': {
    forge: async (scene) => {
      const { between, loot } = scene
      serveSnapshot(
        scene,
        await forgeSnapshot(loot.snapshot, await between.genuine('snapshot.json'), await forging(scene)),
      )
      between.files.set('2.snapshot.json', between.files.get('snapshot.json') ?? new Uint8Array())
    },
    fooled: GOOD,
    stranger: 'TOO_LARGE', // by what the timestamp says of it
    later: GOOD,
    command: 'snapshot',
  },
  'both, and drives both up': {
    forge: async (scene) => {
      const { between, loot } = scene
      const file = await forgeSnapshot(loot.snapshot, await between.genuine('snapshot.json'), await forging(scene))
      serveSnapshot(scene, file)
      await serveTimestamp(scene, file)
    },
    fooled: GOOD,
    command: 'timestamp',
  },
  'both, and lists targets at the highest version, which nobody has': {
    forge: async (scene) => {
      const { between, loot } = scene
      const listed = { version: version(HIGHEST), unknown: new Map() }
      const file = await forgeSnapshot(
        loot.snapshot,
        await between.genuine('snapshot.json'),
        await forging(scene),
        (body) => ({
          ...body,
          meta: new Map([...body.meta, [TARGETS, listed]]),
        }),
      )
      serveSnapshot(scene, file)
      await serveTimestamp(scene, file)
    },
    fooled: 'NO_TRUST_DATA',
    command: 'snapshot',
  },
}

for (const [name, theft] of Object.entries(THEFTS)) {
  await t.test(`somebody takes ${name}`, async (t) => {
    const scene = await begin(t)
    const { lab, between } = scene
    const clients = await consumers(lab)
    await theft.forge(scene)
    t.equal(await verdictOn(clients.fooled, '1.0', { TAGSEAL_SERVER: between.url }), theft.fooled)
    const stranger = await lab.consumer()
    t.equal(await verdictOn(stranger, '1.0', { TAGSEAL_SERVER: between.url }), theft.stranger ?? theft.fooled)

    const held = await keyIds(lab)
    const told = await succeeds(lab.owner, ['rotate', REPOSITORY, theft.command, '--compromised', '--json'])
    t.match(JSON.parse(told), { roles: { length: 2 }, impact: { scope: [], overBy: { because: /targets/ } } })
    await allSafe(t, { ...clients, stranger })
    await t.test('the server forgot the old secrets, and goes on', async (t) => {
      t.notOk((await keyIds(lab)).some((id) => held.includes(id)))
      await lab.owner.sign({ '2.0': 'better' })
      t.equal(await verdictOn(clients.fooled, '2.0'), digestOf('better'))
    })
    await t.test('the thief goes on as well, and is refused by whoever moved on', async (t) => {
      await theft.forge(scene)
      const verdict = await verdictOn(clients.fooled, '1.0', { TAGSEAL_SERVER: between.url })
      t.equal(verdict, theft.later ?? 'THRESHOLD')
      t.equal(await verdictOn(clients.fooled, '1.0'), GOOD, 'and harms nothing that it knows')
    })
  })
}

for (const [dialect, options] of Object.entries(DIALECTS)) {
  await t.test(`somebody who has the database writes the highest versions of ${dialect} into it`, async (t) => {
    const scene = await begin(t, options)
    const { lab, between } = scene
    const clients = await consumers(lab)
    await THEFTS['both, and drives both up']?.forge(scene)
    const { metadata } = lab.server.services.deps.store
    const state = await metadata.state(REPOSITORY)
    const judge = makeJudge(() => lab.clock.now)(options.name, REPOSITORY)
    const forged = (role: RoleName) => newFile(judge, role, between.files.get(`${role}.json`) ?? new Uint8Array())
    const files = [forged(SNAPSHOT), forged(TIMESTAMP)]
    const written = { repository: REPOSITORY, base: state?.revision ?? 0, at: lab.clock.now, pruneBefore: 0, files }
    t.same(await metadata.publish([written]), [true])
    lab.server.services.deps.files.changed(REPOSITORY)
    t.equal(await verdictOn(clients.fooled, '1.0'), GOOD, 'clients cannot tell')
    await t.rejects(lab.owner.sign({ '2.0': 'better' }), 'no version is left for the next publish')

    await succeeds(lab.owner, ['rotate', REPOSITORY, 'timestamp', '--compromised'])
    await allSafe(t, clients)
    await lab.owner.sign({ '2.0': 'better' })
    t.equal(await verdictOn(clients.fooled, '2.0'), digestOf('better'))
    const after = await metadata.state(REPOSITORY)
    for (const role of [SNAPSHOT, TIMESTAMP]) t.ok((after?.files.get(role)?.version ?? HIGHEST) < 100, role)
  })
}

await t.test(
  'a key that waits for a root was in the database as well, and is not what replaces the stolen one',
  async (t) => {
    for (const [dialect, init] of Object.entries(DIALECTS)) {
      await t.test(dialect, async (t) => {
        const { lab } = await begin(t, init)
        const waiting = await lab.server.app.inject({
          method: 'POST',
          url: `/v2/${REPOSITORY}/_trust/tuf/timestamp.key`,
        })
        t.equal(waiting.statusCode, 200)
        const copied = await keyIds(lab)
        await succeeds(lab.owner, ['rotate', REPOSITORY, 'timestamp', '--compromised'])
        t.notOk(
          (await keyIds(lab)).some((id) => copied.includes(id)),
          'nothing that could be copied is left',
        )
      })
    }
  },
)

async function begin(t: Test, options: FoundingOptions & { readonly highest?: number } = {}): Promise<Scene> {
  const lab = await founded(t, options)
  const loot = { timestamp: await stealOnline(t, lab, 'timestamp'), snapshot: await stealOnline(t, lab, 'snapshot') }
  return { lab, loot, between: await intercept(t, lab), highest: options.highest ?? HIGHEST }
}

type Clients = Readonly<Record<'offline' | 'fooled' | 'fresh', Person>>

/** One that saw the repository before, and sleeps; one that the thief reaches; one that has the pin and saw nothing. */
async function consumers(lab: Founded): Promise<Clients> {
  const [offline, fooled, fresh] = [await lab.consumer(), await lab.consumer(), await lab.consumer()]
  for (const person of [offline, fooled]) if ((await verdictOn(person, '1.0')) !== GOOD) throw new Error('not trusted')
  return { offline, fooled, fresh }
}

async function allSafe(t: Test, clients: Readonly<Record<string, Person>>): Promise<void> {
  for (const [name, person] of Object.entries(clients)) {
    t.equal(await verdictOn(person, '1.0'), GOOD, `the ${name} client is safe, with no flag given`)
  }
}

async function keyIds({ server }: Founded): Promise<readonly string[]> {
  const { keys } = server.services.deps.store
  const both = await Promise.all((['timestamp', 'snapshot'] as const).map((role) => keys.list(REPOSITORY, role)))
  return both.flat().map(({ keyid }) => keyid)
}
