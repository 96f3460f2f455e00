/** A server whose keys are in a signer, through what happens to both over the years. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { StorageError } from '../../../server/storage/errors.ts'
import { roleName } from '../../../tuf/index.ts'
import type { OnlineRole } from '../../../server/storage/store.ts'
import { openSignerLab, openTheft } from '../../support/signer-lab.ts'
import { privateFolder } from '../../support/secrets.ts'
import { keyOf, openTestServer, REPO } from '../support/app.ts'
import type { KeyObject, TestServer } from '../support/app.ts'
import {
  delegating,
  openNotaryLab,
  setTag as setNotaryTag,
  signTargets as signNotary,
} from '../support/notary-party.ts'
import { changeRoot, newOwner, setTag, signBoth, signRoot, signTargets } from '../support/party.ts'
import type { Owner } from '../support/party.ts'
import { fetchTrusted } from '../support/reader.ts'
import { signingKey } from '../../support/signing-key.ts'
import { notaryCodec } from '../../../tuf/index.ts'
import type { RootKeys } from '../../../tuf/index.ts'

const HOUR = 3600 * 1000
const NO_TEARDOWN = { teardown: () => undefined }

async function publishTag(server: TestServer, owner: Owner, tag: string) {
  server.clock.now += 1000
  setTag(owner, server.clock.now, tag, tag)
  return server.publish({ targets: await signTargets(owner) })
}

async function rotate(server: TestServer, owner: Owner, ...roles: readonly OnlineRole[]) {
  const change: Partial<Record<OnlineRole, RootKeys['timestamp']>> = {}
  for (const role of roles) {
    const url = `/v2/${REPO}/_trust/tuf/${role}.key`
    const next = (await server.app.inject({ method: 'POST', url })).json<KeyObject>()
    change[role] = { keys: [keyOf(next)], threshold: 1 }
  }
  changeRoot(owner, server.clock.now, change)
  return server.publish({ root: await signRoot(owner) })
}

async function versionOf({ services }: TestServer, role: OnlineRole) {
  return (await services.deps.store.metadata.state(REPO))?.files.get(roleName(role))?.version
}

await t.test('signs what a server publishes and re-signs, rotates, and says so', async (t) => {
  const theft = await openTheft(t)
  const { server } = theft
  const owner = await server.create()
  t.equal((await publishTag(server, owner, '2.0')).statusCode, 200)
  server.clock.now += 4 * 24 * HOUR
  t.equal(await server.services.freshness.pass(), 1)
  t.equal((await rotate(server, owner, 'timestamp', 'snapshot')).statusCode, 200)
  t.ok(await fetchTrusted(server, owner))
  t.equal((await server.get('/readyz')).statusCode, 200)
  const signed = theft.lines.filter(({ audit }) => audit === 'signed')
  t.equal(signed.length, 8, 'one line for each signature')
  t.match(signed[0], { repository: REPO, role: 'snapshot', version: 1, sha256: /^[0-9a-f]{64}$/ })
  const { status, json } = await theft.ask('/healthz')
  t.same([status, json], [200, { status: 'ok' }])
})

await t.test('what was signed and lost on the way to the disk stops nobody', async (t) => {
  const { server, memory } = await openTheft(t)
  const owner = await server.create()
  const { metadata } = server.services.deps.store
  const publish = metadata.publish.bind(metadata)
  Object.assign(metadata, { publish: () => Promise.reject(new StorageError('STORAGE_FULL', { path: 'x' })) })
  const before = { ...owner }
  t.equal((await publishTag(server, owner, 'lost')).statusCode, 507)
  t.match(memory(), { marks: [{ version: 2 }, { version: 2 }] }, 'the versions are spent')
  Object.assign(metadata, { publish })
  Object.assign(owner, before)
  server.clock.now += 4 * 24 * HOUR
  t.equal(await server.services.freshness.pass(), 1, 'without what was lost')
  t.same([await versionOf(server, 'timestamp'), await versionOf(server, 'snapshot')], [3, 3])
  t.equal((await publishTag(server, owner, 'found')).statusCode, 200)
  t.ok(await fetchTrusted(server, owner))
})

await t.test(
  'what the signer was not told, because the server died first, it is told with the next publish',
  async (t) => {
    const { server, memory } = await openTheft(t)
    const owner = await server.create()
    const { online } = server.services.deps
    const { published } = online
    Object.assign(online, { published: async () => undefined })
    t.equal((await publishTag(server, owner, '2.0')).statusCode, 200)
    const floorAt = (announced: number) => ({ floor: new Map([['snapshot', announced]]) })
    t.match(memory(), { keys: [[[/./, { lastVersion: 2, ...floorAt(1) }]]] })
    Object.assign(online, { published })
    t.equal((await publishTag(server, owner, '3.0')).statusCode, 200)
    t.match(memory(), { keys: [[[/./, { lastVersion: 3, ...floorAt(3) }]]] })
  },
)

await t.test('a web server that was restored', async (t) => {
  const lab = await openSignerLab(t)
  const data = privateFolder(t)
  const flags = { data, onlineKeys: lab.signer.url }
  const first = await openTestServer(NO_TEARDOWN, flags, lab.clock)
  const owner = await first.create()
  await first.services.close()
  const backup = join(privateFolder(t), 'backup')
  cpSync(data, backup, { recursive: true })
  const second = await openTestServer(NO_TEARDOWN, flags, lab.clock)
  for (const tag of ['2.0', '3.0']) t.equal((await publishTag(second, owner, tag)).statusCode, 200)
  await second.services.close()
  const restored = await openTestServer(t, { ...flags, data: backup }, lab.clock)
  const behind: Owner = { ...owner, targets: { ...owner.targets, version: 1 as never } }

  await t.test('gets nothing signed that is behind what clients saw', async (t) => {
    lab.clock.now += 13 * HOUR
    t.equal(await restored.services.freshness.pass(), 0)
    const answer = await publishTag(restored, behind, 'again')
    t.match(answer.json(), { errors: [{ code: 'SIGNING_UNAVAILABLE', detail: { reason: /LISTING_WENT_BACK/ } }] })
    t.equal(await versionOf(restored, 'timestamp'), 1)
  })
  await t.test('goes on above it with other keys, as its owners decide', async (t) => {
    const rotated = await rotate(restored, behind, 'timestamp', 'snapshot')
    t.equal(rotated.statusCode, 200, rotated.body)
    t.same([await versionOf(restored, 'timestamp'), await versionOf(restored, 'snapshot')], [4, 4])
  })
})

await t.test('a signer that starts again remembers', async (t) => {
  const data = join(privateFolder(t), 'signer')
  const lab = await openSignerLab(NO_TEARDOWN, { data })
  const server = await openTestServer(t, { onlineKeys: lab.signer.url }, lab.clock)
  const owner = await server.create()
  t.equal((await publishTag(server, owner, '2.0')).statusCode, 200)
  const before = lab.memory()
  await lab.signer.close()
  await t.test('while it is away the server serves, signs nothing, and says why', async (t) => {
    t.equal((await server.get(`/v2/${REPO}/_trust/tuf/timestamp.json`)).statusCode, 200)
    setTag(owner, server.clock.now, '3.0', '3.0')
    const answer = await server.publish({ targets: await signTargets(owner) })
    t.match(answer.json(), { errors: [{ code: 'SIGNING_UNAVAILABLE', detail: { reason: /cannot be reached/ } }] })
    t.equal((await server.get('/readyz')).statusCode, 503)
  })
  const again = await openSignerLab(t, { data }, lab.clock)
  t.same(again.memory(), before)
  server.clock.now += 6000
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  t.ok(await fetchTrusted(server, owner))
})

await t.test('a name that was deleted', async (t) => {
  await t.test('begins anew with a key that signed nothing, above what the old one signed', async (t) => {
    const { server } = await openTheft(t)
    const owner = await server.create()
    t.equal((await publishTag(server, owner, '2.0')).statusCode, 200)
    const key = await server.onlineKeys()
    t.equal((await server.app.inject({ method: 'DELETE', url: `/v2/${REPO}/_trust/tuf/` })).statusCode, 200)
    const [fresh, same] = [await server.onlineKeys(), await server.onlineKeys()]
    t.not(fresh.timestamp.id, key.timestamp.id)
    t.equal(fresh.timestamp.id, same.timestamp.id, 'which is the same until it is used')
    const next = await newOwner(fresh, server.clock.now, ['1.0'])
    t.equal((await server.publish(await signBoth(next))).statusCode, 200)
    t.equal(await versionOf(server, 'timestamp'), 3)
    t.ok(await fetchTrusted(server, next))
  })
  await t.test('comes back with the files that its owner still has', async (t) => {
    const { server } = await openTheft(t)
    const owner = await server.create()
    await publishTag(server, owner, '2.0')
    await server.app.inject({ method: 'DELETE', url: `/v2/${REPO}/_trust/tuf/` })
    t.equal((await server.publish(await signBoth(owner))).statusCode, 200)
    t.equal(await versionOf(server, 'snapshot'), 3)
    t.ok(await fetchTrusted(server, owner))
  })
})

for (const holder of ['the server', 'the owner'] as const) {
  await t.test(`Notary, with the snapshot key at ${holder}`, async (t: Test) => {
    const signer = await openSignerLab(t)
    const lab = await openNotaryLab(t, holder, { onlineKeys: signer.signer.url })
    const { server, owner } = lab
    signer.clock.now = server.clock.now
    const team = signingKey('ecdsa-p256', notaryCodec)
    owner.targets = delegating(owner.targets, { 'targets/team': team })
    t.equal((await lab.publish(lab.complete({ targets: signNotary(owner) }))).statusCode, 200)
    setNotaryTag(owner, '2.0', 'x')
    t.equal((await lab.publish(lab.complete({ targets: signNotary(owner) }))).statusCode, 200)
    server.clock.now += 13 * HOUR
    signer.clock.now = server.clock.now
    t.equal(await server.services.freshness.pass(), 1)
    const signed = signer.lines.filter(({ audit }) => audit === 'signed')
    t.equal(signed.filter(({ role }) => role === 'timestamp').length, 4)
    t.equal(signed.filter(({ role }) => role === 'snapshot').length, holder === 'the server' ? 3 : 0)
  })
}
