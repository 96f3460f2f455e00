import t from 'tap'
import { roleName } from '../../../tuf/index.ts'
import { REPO } from '../support/app.ts'
import { openNotaryLab, setTag, signTargets, type NotaryLab } from '../support/notary-party.ts'

const TUF = `/v2/${REPO}/_trust/tuf`
const DAY = 24 * 3600 * 1000

type Stamp = { readonly version: number; readonly snapshot: string | undefined }

async function stamp(lab: NotaryLab): Promise<Stamp> {
  const file = (await lab.get(`${TUF}/timestamp.json`)).json<{
    signed: { version: number; meta: { snapshot: { hashes: { sha256: string } } } }
  }>()
  return { version: file.signed.version, snapshot: file.signed.meta.snapshot.hashes.sha256 }
}

await t.test('a timestamp is signed anew when half of its life is gone, and the snapshot much later', async (t) => {
  const lab = await openNotaryLab(t)
  const { freshness } = lab.server.services
  t.equal(await freshness.pass(), 0)
  const first = await stamp(lab)
  lab.server.clock.now += 0.6 * DAY
  t.equal(await freshness.pass(), 1)
  t.same(await stamp(lab), { ...first, version: 2 })
  lab.server.clock.now += 1.6 * 365 * DAY
  t.equal(await freshness.pass(), 1)
  const later = await stamp(lab)
  t.equal(later.version, 3)
  t.not(later.snapshot, first.snapshot)
})

await t.test('a snapshot of its owner is never signed anew, and timestamps go on over it', async (t) => {
  const lab = await openNotaryLab(t, 'the owner')
  const { freshness } = lab.server.services
  const first = await stamp(lab)
  lab.server.clock.now += 2.9 * 365 * DAY
  t.equal(await freshness.pass(), 1)
  t.same(await stamp(lab), { ...first, version: 2 })
})

await t.test('an expired snapshot of its owner keeps nobody from reading, and is told to who publishes', async (t) => {
  const lab = await openNotaryLab(t, 'the owner')
  const { clock, services } = lab.server
  clock.now += 3.5 * 365 * DAY
  t.equal(await services.freshness.pass(), 1)
  for (const file of ['timestamp', 'snapshot', 'root', 'targets']) {
    t.equal((await lab.get(`${TUF}/${file}.json`)).statusCode, 200, file)
  }
  setTag(lab.owner, '2.0', 'two')
  const refused = await lab.publish({ targets: signTargets(lab.owner) })
  t.match(
    [refused.statusCode, refused.json()],
    [400, { errors: [{ code: 'INVALID_UPDATE', detail: { Name: 'ErrBadHierarchy' } }] }],
  )
})

await t.test('of both dialects at once, each by its own lifetime', async (t) => {
  const lab = await openNotaryLab(t)
  await lab.server.create(['1.0'], `${REPO}-tuf`)
  lab.server.clock.now += 4 * DAY
  t.equal(await lab.server.services.freshness.pass(), 2)
  const { metadata } = lab.server.services.deps.store
  const snapshot = async (name: string) => (await metadata.state(name))?.files.get(roleName('snapshot'))?.version
  t.same([await snapshot(REPO), await snapshot(`${REPO}-tuf`)], [1, 2])
})

await t.test('a clock that ran ahead leaves nothing that lasts too long', async (t) => {
  const lab = await openNotaryLab(t)
  const { clock, services } = lab.server
  clock.now += 10 * DAY
  await services.freshness.pass()
  clock.now -= 10 * DAY
  t.equal(await services.freshness.pass(), 1)
})
