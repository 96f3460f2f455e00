/** The server's own past: nothing that was published is lost, replaced under its version, or taken out of the snapshot. */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { openRepository } from '../../client/trust/repository.ts'
import { firstTargets, nextTargets, roleName, withDelegation } from '../../tuf/index.ts'
import { openTestServer, REPO } from '../server/support/app.ts'
import type { TestServer } from '../server/support/app.ts'
import {
  changeRoot,
  context,
  newKey,
  setDelegations,
  setTag,
  signFile,
  signRoot,
  signTargets,
  target,
} from '../server/support/party.ts'
import { fetchTrusted } from '../server/support/reader.ts'

const file = async (server: TestServer, name: string) => await server.get(`/v2/${REPO}/_trust/tuf/${name}`)

await t.test('publishers at once lose nothing: one of each version is taken, the others are told', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const tags = Array.from({ length: 8 }, (_, i) => `t${i}`)
  let waiting = [...tags]
  for (let round = 0; waiting.length > 0 && round < 20; round++) {
    const base = owner.targets
    const bodies = waiting.map((tag) =>
      nextTargets(base, { set: new Map([[tag, target(tag)]]) }, context(server.clock.now)),
    )
    const answers = await Promise.all(
      bodies.map(async (body) => await server.publish({ targets: await signFile(body, owner.targetsKey) })),
    )
    const codes = answers.map(({ statusCode }) => statusCode)
    t.equal(codes.filter((code) => code === 200).length, 1)
    t.ok(codes.every((code) => code === 200 || code === 409))
    owner.targets = bodies[codes.indexOf(200)] ?? base
    waiting = waiting.filter((_, i) => codes[i] !== 200)
  }
  const { targets, snapshot } = await fetchTrusted(server, owner)
  t.same([...targets.targets.keys()].toSorted(), ['1.0', ...tags].toSorted())
  t.same([targets.version, snapshot.version], [9, 9], 'and no version is left out')
})

await t.test('no version is ever other bytes, and the snapshot loses no role', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  const key = await newKey()
  const scope = { kind: 'paths' as const, paths: ['*'] }
  const role = { name: roleName('team'), keys: [key.key], threshold: 1, scope, terminating: false }
  setDelegations(owner, server.clock.now, withDelegation(undefined, role))
  const team = await signFile(firstTargets({}, context(server.clock.now)), key)
  t.equal((await server.publish({ targets: await signTargets(owner), team })).statusCode, 200)
  const seen = new Map<string, string>()
  const look = async () => {
    for (const name of [
      '1.root',
      '1.targets',
      '2.targets',
      '3.targets',
      '4.targets',
      '2.snapshot',
      '3.snapshot',
      '4.snapshot',
      '1.team',
    ]) {
      const { statusCode, body } = await file(server, `${name}.json`)
      if (statusCode !== 200) continue
      t.equal(seen.get(name) ?? body, body, name)
      seen.set(name, body)
    }
  }
  await look()
  owner.targets = nextTargets(owner.targets, { delegations: null }, context(server.clock.now))
  t.equal((await server.publish({ targets: await signTargets(owner) })).statusCode, 200)
  await look()
  const again = await signFile(
    firstTargets({ set: new Map([['evil', target('evil')]]) }, context(server.clock.now)),
    key,
  )
  t.equal((await server.publish({ team: again })).statusCode, 409, 'a role that was taken out does not begin again')
  await look()
  server.clock.now += 4 * 86_400_000
  await server.services.freshness.pass()
  await look()
  const { snapshot } = await fetchTrusted(server, owner)
  t.equal(snapshot.meta.get(roleName('team'))?.version, 1)
  t.equal(snapshot.meta.get(roleName('targets'))?.version, 3)
})

await t.test('every root stays, however old', async (t) => {
  const server = await openTestServer(t)
  const owner = await server.create()
  for (let version = 2; version <= 5; version++) {
    server.clock.now += 100 * 86_400_000
    changeRoot(owner, server.clock.now, {})
    setTag(owner, server.clock.now, `v${version}`, 'x')
    t.equal((await server.publish({ root: await signRoot(owner), targets: await signTargets(owner) })).statusCode, 200)
  }
  await server.services.deps.store.metadata.prune(server.clock.now, 1000)
  for (let version = 1; version <= 5; version++) t.equal((await file(server, `${version}.root.json`)).statusCode, 200)
  t.equal((await file(server, '1.targets.json')).statusCode, 404, 'while other old files go')
  t.equal((await fetchTrusted(server, owner, 1)).root.version, 5)
})

await t.test('a server that was put back to an older backup is found out by whoever saw more', async (t) => {
  const [dir, backup, state] = await Promise.all(
    ['data', 'backup', 'state'].map((name) => mkdtemp(join(tmpdir(), `tagseal-${name}-`))),
  )
  if (dir === undefined || backup === undefined || state === undefined) throw new Error('three folders')
  t.teardown(() => Promise.all([dir, backup, state].map((path) => rm(path, { recursive: true, force: true }))))
  const open = { teardown: () => undefined }
  const first = await openTestServer(open, { data: dir }, { now: Date.now() })
  const owner = await first.create()
  const root = await signRoot(owner)
  await first.services.close()
  await cp(dir, backup, { recursive: true })

  const resolve = async (server: TestServer) => {
    if (!server.app.server.listening) await server.app.listen({ host: '127.0.0.1', port: 0 })
    const address = server.app.server.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    const repository = openRepository({
      server: url,
      repository: REPO,
      stateDir: state,
      pin: { kind: 'root', bytes: root },
    })
    try {
      return (await repository.resolve('1.0')).digest
    } finally {
      repository.close()
    }
  }
  const second = await openTestServer(open, { data: dir }, { now: Date.now() })
  setTag(owner, second.clock.now, '1.0', 'two')
  await second.publish({ targets: await signTargets(owner) })
  const two = await resolve(second)
  await second.services.close()

  const restored = await openTestServer(t, { data: backup }, { now: Date.now() })
  await t.rejects(resolve(restored), { code: 'ROLLBACK' })
  await restored.publish({ targets: await signTargets(owner) })
  await restored.publish({ targets: await signTargets(owner) })
  setTag(owner, restored.clock.now, 'next', 'x')
  await restored.publish({ targets: await signTargets(owner) })
  t.equal(await resolve(restored), two, 'until its owners have published again what it lost')
})
