/** Whoever may push to a Notary repository, against the server and against whoever has the name after them. */
import t from 'tap'
import { firstTargets, nextRoot, nextTimestamp, notaryCodec, roleName, threshold } from '../../tuf/index.ts'
import { signingKey } from '../support/signing-key.ts'
import { GO, REPO, openTestServer } from '../server/support/app.ts'
import {
  delegating,
  metaOf,
  newNotaryOwner,
  openNotaryLab,
  signRoot,
  signTargets,
  signedBy,
  snapshotOver,
  withVersion,
} from '../server/support/notary-party.ts'
import { YEAR, multipart } from '../server/support/party.ts'

const TUF = `/v2/${REPO}/_trust/tuf`

await t.test(
  'a file that delegates to more roles than anybody could list is taken in one pass over them',
  async (t) => {
    const lab = await openNotaryLab(t)
    const roles = Array.from({ length: 130_000 }, (_, i) => ({
      name: roleName(`targets/${i.toString(36)}`),
      keyids: [],
      threshold: threshold(1),
      scope: { kind: 'path-prefixes', prefixes: [] } as const,
      terminating: false,
      unknown: new Map(),
    }))
    const { owner } = lab
    owner.targets = {
      ...withVersion(owner.targets, owner.targets.version + 1),
      delegations: { keys: new Map(), roles, unknown: new Map() },
    }
    const answer = await lab.publish({ targets: signTargets(owner) })
    t.equal(answer.statusCode, 200, answer.body.slice(0, 200))
    t.equal((await lab.get(`${TUF}/targets.json`)).statusCode, 200)
  },
)

const LAST = 2 ** 31 - 2

await t.test('nobody brings a snapshot to its last version, which would bar the name for good', async (t) => {
  const lab = await openNotaryLab(t, 'the owner')
  const { clock } = lab.server
  const snapshot = (version: number) => ({ snapshot: snapshotOver(lab.owner, clock.now, {}, { version }) })
  t.match((await lab.publish(snapshot(LAST))).json(), { errors: [{ code: 'INVALID_UPDATE' }] })
  t.equal((await lab.publish(snapshot(2 ** 30))).statusCode, 200, 'with room for all that may come')
  t.equal((await lab.send('DELETE', `${TUF}/`)).statusCode, 200)
  const next = await newNotaryOwner(lab.get, clock.now, 'the server')
  const answer = await lab.publish({ root: signRoot(next), targets: signTargets(next) })
  t.equal(answer.statusCode, 200, answer.body)
})

await t.test('what our key signed is not forgotten for a snapshot of somebody else', async (t) => {
  const lab = await openNotaryLab(t)
  const { clock } = lab.server
  for (let version = 2; version < 6; version++) t.equal((await lab.publish({})).statusCode, 200)
  const remove = async () => t.equal((await lab.send('DELETE', `${TUF}/`)).statusCode, 200)
  await remove()
  const between = await newNotaryOwner(lab.get, clock.now, 'the owner')
  const files = { root: signRoot(between), targets: signTargets(between) }
  const theirs = { ...files, snapshot: snapshotOver(between, clock.now, files) }
  t.equal((await lab.publish(theirs)).statusCode, 200)
  await remove()
  const next = await newNotaryOwner(lab.get, clock.now, 'the server')
  const answer = await lab.publish({ root: signRoot(next), targets: signTargets(next) })
  t.match(answer.json(), { versions: { snapshot: 6 } })
})

await t.test('nor does anybody who moves in from a server of their own', async (t) => {
  const server = await openTestServer(t)
  const { now } = server.clock
  const owner = await newNotaryOwner((url) => server.get(url, { 'user-agent': GO }), now, 'the server')
  const ours = owner.root
  const [timestampKey, snapshotKey] = [signingKey('ed25519', notaryCodec), owner.snapshotKey]
  const [codec, expires] = [notaryCodec, now + YEAR]
  const one = (key: typeof snapshotKey) => ({ keys: [key.public], threshold: 1 })
  owner.root = withVersion(
    nextRoot(ours, { timestamp: one(timestampKey), snapshot: one(snapshotKey) }, { codec, expires }),
    1,
  )
  const files = { root: signRoot(owner), targets: signTargets(owner) }
  const move = async (versions: { readonly timestamp: number; readonly snapshot: number }) => {
    const snapshot = snapshotOver(owner, now, files, { version: versions.snapshot })
    const body = withVersion(nextTimestamp(undefined, metaOf(snapshot), { codec, expires }), versions.timestamp)
    const timestamp = signedBy(body, timestampKey)
    const root = signedBy(withVersion(ours, 2), owner.rootKey)
    const parts = { '1.root': files.root, root, snapshot, timestamp, targets: files.targets }
    const url = `/v1/repositories/${REPO}/_import`
    const { payload, headers } = multipart(parts)
    return server.app.inject({ method: 'POST', url, payload, headers: { ...headers, accept: 'application/json' } })
  }
  const refused = { errors: [{ code: 'INVALID_UPDATE', detail: { code: 'VERSION_TOO_HIGH' } }] }
  t.match((await move({ timestamp: LAST - 1, snapshot: 1 })).json(), refused)
  t.match((await move({ timestamp: 1, snapshot: LAST - 1 })).json(), refused)
  t.match((await move({ timestamp: 7, snapshot: 9 })).json(), { versions: { timestamp: 8, snapshot: 10 } })
})

await t.test('a snapshot that silences a role under the same targets is refused, as clients would', async (t) => {
  const lab = await openNotaryLab(t, 'the owner')
  const { owner, server } = lab
  const { now } = server.clock
  const alice = signingKey('ecdsa-p256', notaryCodec)
  owner.targets = delegating(owner.targets, { 'targets/releases': alice })
  const hers = signedBy(firstTargets({}, { codec: notaryCodec, expires: now + YEAR }), alice)
  const files = lab.complete({ targets: signTargets(owner), 'targets/releases': hers })
  t.equal((await lab.publish(files)).statusCode, 200)
  const all = owner.snapshot?.meta ?? new Map<never, never>()
  const meta = new Map([...all].filter(([role]) => role !== roleName('targets/releases')))
  const answer = await lab.publish({ snapshot: snapshotOver(owner, now, {}, { meta }) })
  t.match(answer.json(), { errors: [{ code: 'INVALID_UPDATE' }] })
  t.match(answer.body, /is listed no more/)
})
