import t from 'tap'
import {
  firstTargets,
  nextTargets,
  roleName,
  succinctBins,
  tufCodec,
  withDelegation,
  withoutDelegation,
  type Targets,
} from '../../../tuf/index.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { keyOf, openTestServer, REPO, type KeyObject, type TestServer } from '../support/app.ts'
import {
  changeRoot,
  context,
  newKey,
  newOwner,
  setDelegations,
  setTag,
  signBoth,
  signFile,
  signRoot,
  signTargets,
  target,
  type Owner,
  type TestKey,
} from '../support/party.ts'
import { fetchTrusted } from '../support/reader.ts'

const paths = (...patterns: string[]) => ({ kind: 'paths' as const, paths: patterns })

async function versions(server: TestServer, repository = REPO): Promise<Record<string, number>> {
  const { roles } = (await server.get(`/v1/repositories/${repository}`)).json<{
    roles: { role: string; version: number }[]
  }>()
  return Object.fromEntries(roles.map(({ role, version }) => [role, version]))
}

/** The owner delegates a role to a new key, and that role publishes its first file in the same upload. */
async function withRole(server: TestServer, owner: Owner, name = 'releases'): Promise<{ key: TestKey; file: Targets }> {
  const key = await newKey()
  const { now } = server.clock
  const role = { name: roleName(name), keys: [key.key], threshold: 1, scope: paths('*'), terminating: false }
  setDelegations(owner, now, withDelegation(owner.targets.delegations, role))
  const file = firstTargets({ set: new Map([['rel', target('rel')]]) }, context(now))
  const answer = await server.publish({ targets: await signTargets(owner), [name]: await signFile(file, key) })
  if (answer.statusCode !== 200) throw new Error(answer.body)
  return { key, file }
}

await t.test('a repository is created, published to, and refreshed by a client', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create(['1.0', 'latest'])
  setTag(owner, server.clock.now, '1.1', 'another')
  const answer = await server.publish({ targets: await signTargets(owner) })
  t.match(answer.json(), { versions: { root: 1, snapshot: 2, targets: 2, timestamp: 2 } })
  const served = await server.get(`/v2/${REPO}/_trust/tuf/2.targets.json`)
  t.same(served.rawPayload, Buffer.from(await signTargets(owner)), 'byte for byte')
  const [timestamp, snapshot] = await Promise.all(
    ['timestamp', '2.snapshot'].map(async (file) => (await server.get(`/v2/${REPO}/_trust/tuf/${file}.json`)).body),
  )
  t.strictSame(answer.json<{ signed: unknown }>().signed, { timestamp, snapshot }, 'what the server signed is told')
  const trust = await fetchTrusted(server, owner)
  t.same([...trust.targets.targets.keys()].sort(), ['1.0', '1.1', 'latest'])
  t.equal(trust.snapshot.version, 2)
  t.ok(trust.root.consistentSnapshot)
})

await t.test('a first upload may begin at any version, so that trust survives a move', async (t) => {
  const server = await openTestServer(t)
  const other = await openTestServer(t)
  const owner = await other.create()
  setTag(owner, other.clock.now, 'x', 'x')
  const online = await server.onlineKeys()
  changeRoot(owner, other.clock.now, {
    timestamp: { keys: [online.timestamp], threshold: 1 },
    snapshot: { keys: [online.snapshot], threshold: 1 },
  })
  const answer = await server.publish(await signBoth(owner))
  t.match(answer.json(), { versions: { root: 2, targets: 2, snapshot: 1, timestamp: 1 } })
})

await t.test('the very upload again is acknowledged again and stored once', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  setTag(owner, server.clock.now, 'x', 'x')
  const files = { targets: await signTargets(owner) }
  const first = await server.publish(files)
  const second = await server.publish(files)
  t.equal(second.statusCode, 200)
  const told = (answer: typeof first) => answer.json<{ versions: unknown }>().versions
  t.same(told(second), told(first))
  t.same(await versions(server), { root: 1, targets: 2, snapshot: 2, timestamp: 2 })
})

await t.test('who names the snapshot it saw is published on top of that one alone', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const etag = async () => String((await server.get(`/v2/${REPO}/_trust/tuf/snapshot.json`)).headers['etag'])
  const seen = await etag()
  setTag(owner, server.clock.now, 'x', 'x')
  const first = await server.publish({ targets: await signTargets(owner) }, { headers: { 'if-match': seen } })
  t.equal(first.statusCode, 200, first.body)
  const before = await versions(server)
  setTag(owner, server.clock.now, 'y', 'y')
  const files = { targets: await signTargets(owner) }
  const late = await server.publish(files, { headers: { 'if-match': seen } })
  t.match([late.statusCode, late.json()], [412, { errors: [{ code: 'SNAPSHOT_CHANGED', detail: { current: 2 } }] }])
  for (const header of ['*', 'W/"x"', `${seen}, ${seen}`]) {
    t.equal((await server.publish(files, { headers: { 'if-match': header } })).statusCode, 400, header)
  }
  t.same(await versions(server), before, 'and nothing was stored')
  t.equal((await server.publish(files, { headers: { 'if-match': await etag() } })).statusCode, 200)
})

await t.test('delegated roles publish by their own keys, without the owner', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const { key, file } = await withRole(server, owner, 'targets/releases')
  const next = nextTargets(file, { set: new Map([['rel2', target('2')]]) }, context(server.clock.now))
  const answer = await server.publish({ 'targets/releases': await signFile(next, key) })
  t.equal(answer.statusCode, 200, answer.body)
  t.equal((await versions(server))['targets/releases'], 2)
  for (const name of ['2.targets/releases.json', '2.targets%2Freleases.json', 'targets/releases.json']) {
    t.equal((await server.get(`/v2/${REPO}/_trust/tuf/${name}`)).statusCode, 200, name)
  }
})

await t.test('bins of TAP 15 are published one at a time', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create([])
  const key = await newKey()
  const { now } = server.clock
  const bins = { name: roleName('bins'), keys: [key.key], threshold: 1, scope: paths('*'), terminating: false }
  setDelegations(owner, now, withDelegation(undefined, bins))
  const top = firstTargets({ delegations: succinctBins({ keys: [key.key], threshold: 1 }, 6, 'bin') }, context(now))
  const bin = firstTargets({}, context(now))
  const answer = await server.publish({
    targets: await signTargets(owner),
    bins: await signFile(top, key),
    'bin-0f': await signFile(bin, key),
  })
  t.equal(answer.statusCode, 200, answer.body)
  const one = await server.publish({ 'bin-10': await signFile(bin, key) })
  t.equal(one.statusCode, 200, one.body)
  const outside = await server.publish({ 'bin-40': await signFile(bin, key) })
  t.match(outside.json(), { errors: [{ code: 'INVALID_ROLE' }] }, 'only 64 of them')
})

await t.test('a role that delegates to the same name further down does not take it over', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const { now } = server.clock
  const mine = await withRole(server, owner, 'mine')
  const rival = await withRole(server, owner, 'rival')
  const claim = { name: roleName('mine'), keys: [rival.key.key], threshold: 1, scope: paths('*'), terminating: false }
  const grab = nextTargets(rival.file, { delegations: withDelegation(undefined, claim) }, context(now))
  await server.publish({ rival: await signFile(grab, rival.key) })
  const next = nextTargets(mine.file, {}, context(now))
  const stolen = await server.publish({ mine: await signFile(next, rival.key) })
  t.match(stolen.json(), { errors: [{ code: 'INVALID_UPDATE', detail: { code: 'THRESHOLD', role: 'mine' } }] })
  t.equal((await server.publish({ mine: await signFile(next, mine.key) })).statusCode, 200)
})

await t.test(
  'a leaked delegated key is shut out at once, and the answer says whose signature is now missing',
  async (t) => {
    const server = await openTestServer(t)
    const owner = await server.create()
    const { now } = server.clock
    const { key: leaked, file } = await withRole(server, owner)
    const fresh = await newKey()
    const role = { name: roleName('releases'), keys: [fresh.key], threshold: 1, scope: paths('*'), terminating: false }
    setDelegations(owner, now, withDelegation(owner.targets.delegations, role))
    const answer = await server.publish({ targets: await signTargets(owner) })
    t.same(answer.json<{ unsigned: string[] }>().unsigned, ['releases'])
    const next = nextTargets(file, {}, context(now))
    t.match((await server.publish({ releases: await signFile(next, leaked) })).json(), {
      errors: [{ code: 'INVALID_UPDATE', detail: { code: 'THRESHOLD' } }],
    })
    t.equal((await server.publish({ releases: await signFile(next, fresh) })).statusCode, 200)
  },
)

await t.test('a delegation that was taken out leaves its role listed, and closes it', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const { key, file } = await withRole(server, owner)
  const delegations = owner.targets.delegations
  if (delegations === undefined) throw new Error('no delegations')
  setDelegations(owner, server.clock.now, withoutDelegation(delegations, roleName('releases')))
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  const trust = await fetchTrusted(server, owner)
  t.ok(trust.snapshot.meta.has(roleName('releases')), 'clients that saw it would refuse its disappearance')
  const next = await signFile(nextTargets(file, {}, context(server.clock.now)), key)
  t.match((await server.publish({ releases: next })).json(), { errors: [{ code: 'INVALID_ROLE' }] })
})

await t.test('one expired role does not keep others from publishing', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const { key, file } = await withRole(server, owner)
  server.clock.now += 400 * 24 * 3600 * 1000 // root and targets have expired
  const next = nextTargets(file, {}, context(server.clock.now))
  t.equal((await server.publish({ releases: await signFile(next, key) })).statusCode, 200)
  changeRoot(owner, server.clock.now, {})
  t.equal((await server.publish({ root: await signRoot(owner) })).statusCode, 200, 'the root alone')
  setTag(owner, server.clock.now, 'again', 'again')
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  t.equal((await fetchTrusted(server, owner)).targets.version, 3)
})

await t.test('a root alone has snapshot and timestamp signed anew by the keys it names', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const before = await server.onlineKeys()
  const renewed = async (role: string) =>
    (await server.app.inject({ method: 'POST', url: `/v2/${REPO}/_trust/tuf/${role}.key` })).json<KeyObject>()
  const [timestamp, snapshot] = [keyOf(await renewed('timestamp')), keyOf(await renewed('snapshot'))]
  t.not(timestamp.id, before.timestamp.id)
  t.same(await server.onlineKeys(), before, 'until a root names the new ones the old ones are in use')
  changeRoot(owner, server.clock.now, {
    timestamp: { keys: [timestamp], threshold: 1 },
    snapshot: { keys: [snapshot], threshold: 1 },
  })
  const answer = await server.publish({ root: await signRoot(owner) })
  t.match(answer.json(), { versions: { root: 2, snapshot: 2, targets: 1, timestamp: 2 } })
  t.same(await server.onlineKeys(), { timestamp, snapshot })
  const trust = await fetchTrusted(server, owner, 1)
  t.equal(trust.root.version, 2)
  t.equal(trust.timestamp.version, 2, 'versions go on')
  const kept = await server.services.deps.store.keys.list(REPO, 'timestamp')
  t.same(
    kept.map(({ keyid }) => keyid),
    [timestamp.id],
    'the secret of the key that left is forgotten',
  )
})

await t.test('a key that is made at once leaves those that wait until a root names it', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const ask = async (more = '') => {
    const url = `/v2/${REPO}/_trust/tuf/timestamp.key${more}`
    return keyOf((await server.app.inject({ method: 'POST', url })).json<KeyObject>())
  }
  const kept = async () => (await server.services.deps.store.keys.list(REPO, 'timestamp')).map(({ keyid }) => keyid)
  const ofTheCeremony = await ask()
  const fresh = await ask('?fresh=true')
  t.not(fresh.id, ofTheCeremony.id)
  changeRoot(owner, server.clock.now, { timestamp: { keys: [ofTheCeremony], threshold: 1 } })
  t.equal((await server.publish({ root: await signRoot(owner) })).statusCode, 200, 'a root that was on its way')
  t.same(await kept(), [ofTheCeremony.id], 'with which those that waited beside it go')
  for (let i = 0; i < 40; i++) await ask('?fresh=true')
  t.equal((await kept()).length, 33, 'the key in use and no more than 32 that wait')
  t.ok((await kept()).includes(ofTheCeremony.id))
})

await t.test('new targets keys go with targets that they signed', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const fresh = await newKey()
  changeRoot(owner, server.clock.now, { targets: { keys: [fresh.key], threshold: 1 } })
  const root = await signRoot(owner)
  t.match((await server.publish({ root })).json(), {
    errors: [{ code: 'INVALID_UPDATE', detail: { code: 'THRESHOLD', role: 'targets' } }],
  })
  const next = nextTargets(owner.targets, {}, context(server.clock.now))
  const answer = await server.publish({ targets: await signFile(next, fresh), root })
  t.match(answer.json(), { versions: { root: 2, targets: 2, snapshot: 2, timestamp: 2 } })
})

await t.test('history tells what tags meant, and who published only to administrators', async (t) => {
  const server = await openTestServer(t, { open: false })
  const push = { authorization: `Bearer ${await server.token({ name: 'ci' })}` }
  const admin = { authorization: `Bearer ${await server.token({ actions: ['admin'] })}` }
  const key = async (role: string) => (await server.get(`/v2/${REPO}/_trust/tuf/${role}.key`, push)).json<KeyObject>()
  const online = { timestamp: keyOf(await key('timestamp')), snapshot: keyOf(await key('snapshot')) }
  const owner = await newOwner(online, server.clock.now, ['latest', 'same'])
  await server.publish(await signBoth(owner), { headers: push })
  server.clock.now += 1000
  setTag(owner, server.clock.now, 'latest', 'moved')
  await server.publish({ targets: await signTargets(owner) }, { headers: push })
  server.clock.now += 1000
  owner.targets = nextTargets(owner.targets, { remove: new Set(['latest']) }, context(server.clock.now))
  await server.publish({ targets: await signTargets(owner) }, { headers: push })

  const url = `/v1/repositories/${REPO}/history?tag=latest`
  const { entries } = (await server.get(url)).json<{ entries: Record<string, unknown>[] }>()
  const digest = (seed: string) => `sha256:${target(seed).hashes.get('sha256')}`
  t.match(entries, [
    { version: 3, digest: null },
    { version: 2, digest: digest('moved'), length: 1000, at: '2026-11-24T12:00:01.000Z' },
    { version: 1, digest: digest('latest'), role: 'targets', keyids: [owner.targetsKey.key.id] },
  ])
  t.notOk(entries.some((entry) => 'by' in entry))
  t.match((await server.get(url, admin)).json(), { entries: [{ by: 'ci' }, {}, {}] })
  const same = (await server.get(`/v1/repositories/${REPO}/history?tag=same`)).json<{ entries: unknown[] }>()
  t.equal(same.entries.length, 1, 'an unchanged tag costs nothing')
  const page = (await server.get(`${url}&limit=2`)).json<{ next: string; entries: unknown[] }>()
  const rest = (await server.get(`${url}&limit=2&before=${page.next}`)).json<{ entries: unknown[] }>()
  t.same([page.entries.length, rest.entries.length], [2, 1])
  const changes = `/v1/repositories/${REPO}/_changes?since=2026-11-24T12:00:01.000Z`
  t.same(
    (await server.get(changes, push)).json(),
    { tags: ['latest'], delegations: [], orders: [] },
    'what did not change is not named',
  )
  t.equal((await server.get(`/v1/repositories/${REPO}/_changes?since=2026-13-24T12:00:01Z`, push)).statusCode, 400)
  t.equal((await server.get('/v1/repositories/elsewhere/_changes?since=2026-11-24T12:00:01Z', push)).statusCode, 404)
  const audit = (await server.get('/v1/audit', admin)).json<{ entries: Record<string, unknown>[] }>()
  t.match(audit.entries[0], { action: 'publish', actor: 'ci', subject: REPO, detail: { versions: { targets: 3 } } })
})

await t.test('fifty publishes at once: one of each version is stored, the others are told', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const uploads = await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      const next = nextTargets(owner.targets, { set: new Map([[`t${i}`, target(`t${i}`)]]) }, context(server.clock.now))
      return signFile(next, owner.targetsKey)
    }),
  )
  const answers = await Promise.all(uploads.map((targets) => server.publish({ targets })))
  const statuses = answers.map(({ statusCode }) => statusCode)
  t.equal(statuses.filter((status) => status === 200).length, 1)
  t.equal(statuses.filter((status) => status === 409).length, 49)
  t.match(answers.find(({ statusCode }) => statusCode === 409)?.json(), {
    errors: [{ code: 'VERSION', detail: { role: 'targets', current: 2, got: 2 } }],
  })
  t.same(await versions(server), { root: 1, targets: 2, snapshot: 2, timestamp: 2 })
})

const delta = 'application/vnd.tagseal.targets-delta+json'
async function deltaOf(owner: Owner, base: Targets, next: Targets, more: object = {}): Promise<Uint8Array> {
  const bytes = await signFile(base, owner.targetsKey)
  const sig = Buffer.from(await owner.targetsKey.signer.sign(tufCodec.encode(next))).toString('hex')
  const set = [...next.targets].filter(([path, entry]) => base.targets.get(path) !== entry)
  const entry = ({ length, hashes }: { length: number; hashes: ReadonlyMap<string, string> }) => ({
    length,
    hashes: Object.fromEntries(hashes),
  })
  return Buffer.from(
    JSON.stringify({
      base: { version: base.version, sha256: nativeSuite.hash('sha256', bytes) },
      set: Object.fromEntries(set.map(([path, file]) => [path, entry(file)])),
      remove: [...base.targets.keys()].filter((path) => !next.targets.has(path)),
      version: next.version,
      expires: next.expiresText,
      signatures: [{ keyid: owner.targetsKey.key.id, sig }],
      ...more,
    }),
  )
}

await t.test('a delta becomes the very file that its signer has', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create(['1.0', 'old'])
  const change = { set: new Map([['new', target('new')]]), remove: new Set(['old']) }
  const next = nextTargets(owner.targets, change, context(server.clock.now))
  const sent = await deltaOf(owner, owner.targets, next)
  const answer = await server.publish({ targets: sent }, { types: { targets: delta } })
  t.match(answer.json(), { versions: { root: 1, snapshot: 2, targets: 2, timestamp: 2 } })
  const served = await server.get(`/v2/${REPO}/_trust/tuf/2.targets.json`)
  t.same(served.rawPayload, Buffer.from(await signFile(next, owner.targetsKey)))
})

const WRONG_DELTAS: Record<string, { more: object; status: number; code: string; inner?: string }> = {
  'on another base version': { more: { base: { version: 7, sha256: '0'.repeat(64) } }, status: 409, code: 'VERSION' },
  'on other bytes of the version': {
    more: { base: { version: 1, sha256: '0'.repeat(64) } },
    status: 409,
    code: 'VERSION',
  },
  'that sets more than was signed': {
    more: { set: { evil: { length: 1, hashes: { sha256: 'a'.repeat(64) } } } },
    status: 400,
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'with another expiry than was signed': {
    more: { expires: '2031-01-01T00:00:00Z' },
    status: 400,
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
  'that skips a version': { more: { version: 4 }, status: 409, code: 'VERSION' },
  'without signatures': { more: { signatures: [] }, status: 400, code: 'INVALID_UPDATE', inner: 'THRESHOLD' },
  'without a base': { more: { base: null }, status: 400, code: 'INVALID_UPDATE', inner: 'MALFORMED' },
  'with a malformed target': { more: { set: { x: {} } }, status: 400, code: 'INVALID_UPDATE', inner: 'MALFORMED' },
  'whose removals are no list': { more: { remove: 'x' }, status: 400, code: 'INVALID_UPDATE', inner: 'MALFORMED' },
}
for (const [name, { more, status, code, inner }] of Object.entries(WRONG_DELTAS)) {
  await t.test(`refuses a delta ${name}`, async (t) => {
    const server = await openTestServer(t)
    const owner = await server.create()
    const before = await server.services.deps.store.metadata.state(REPO)
    const next = nextTargets(owner.targets, { set: new Map([['new', target('n')]]) }, context(server.clock.now))
    const sent = await deltaOf(owner, owner.targets, next, more)
    const answer = await server.publish({ targets: sent }, { types: { targets: delta } })
    t.equal(answer.statusCode, status, answer.body)
    t.match(answer.json(), { errors: [{ code, detail: inner === undefined ? {} : { code: inner } }] })
    t.same(await server.services.deps.store.metadata.state(REPO), before)
  })
}

await t.test('refuses a delta of a root, and one for a repository that is not there', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const sent = await deltaOf(owner, owner.targets, nextTargets(owner.targets, {}, context(server.clock.now)))
  const root = await server.publish({ root: sent }, { types: { root: delta } })
  t.match(root.json(), { errors: [{ code: 'MALFORMED_UPLOAD' }] })
  const options = { repository: 'registry.example.com/nothing', types: { targets: delta } }
  t.equal((await server.publish({ targets: sent }, options)).statusCode, 409)
})
