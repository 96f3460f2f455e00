import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { isClientError, openRepository, stateFolder } from '../../../client/index.ts'
import type { RepositoryOptions } from '../../../client/index.ts'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { instant, roleName, TARGETS } from '../../../tuf/index.ts'
import { REPOSITORY_FIELD } from '../../../tuf/model/repository.ts'
import { DAY, NOW, Simulator, targetOf } from '../../support/simulator.ts'

const HOUR = 3_600_000
const NAME = 'registry.example.com/team/app'
const PREFIX = `/v2/${NAME}/_trust/tuf/`

async function serve(t: Test, simulator: Simulator): Promise<string> {
  const server = createServer((request, response) => {
    const name = request.url?.startsWith(PREFIX) ? request.url.slice(PREFIX.length) : ''
    simulator.requests.push(name)
    const file = simulator.files.get(name)
    response.writeHead(file === undefined ? 404 : 200).end(file)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function opened(t: Test, simulator: Simulator, more: Partial<RepositoryOptions> = {}) {
  const server = await serve(t, simulator)
  const stateDir = t.testdir()
  const pin = { kind: 'root', bytes: simulator.anchor() } as const
  const repository = openRepository({
    repository: NAME,
    server,
    stateDir,
    pin,
    clock: () => NOW,
    ...more,
  } as RepositoryOptions)
  t.teardown(() => repository.close())
  return { repository, stateDir, server }
}

await t.test('a tag resolves to the digest that was signed', async (t) => {
  const simulator = new Simulator({ unknown: new Map([[REPOSITORY_FIELD, NAME]]) })
  simulator.sign({ '1.4': targetOf('manifest', { mediaType: 'application/vnd.oci.image.index.v1+json' }) })
  const { repository } = await opened(t, simulator)
  const signed = await repository.resolve('1.4')
  t.equal(signed.digest, `sha256:${nativeSuite.hash('sha256', Buffer.from('manifest'))}`)
  t.equal(signed.length, 8)
  t.equal(signed.role, 'targets')
  await t.rejects(repository.resolve('1.5'), { code: 'TAG_NOT_SIGNED', detail: { repository: NAME, tag: '1.5' } })
  t.equal(await repository.find('1.5'), undefined)
  t.same(
    simulator.requests,
    ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json'].map((name) =>
      name.replace('1.snapshot', '2.snapshot').replace('1.targets', '2.targets'),
    ),
    'one refresh for all three',
  )
})

await t.test('a clock that went back is refused, by more than the tolerance that was asked for', async (t) => {
  let now: number = NOW
  const simulator = new Simulator()
  const cache = memoryCache()
  const open = async (more: object) => (await opened(t, simulator, { cache, clock: () => now, ...more })).repository
  await (await open({})).refresh()
  now = NOW - HOUR
  await t.rejects((await open({})).refresh(), { code: 'CLOCK_WENT_BACK' })
  await t.rejects((await open({ clockTolerance: HOUR - 1 })).refresh(), { code: 'CLOCK_WENT_BACK' })
  await t.resolves((await open({ clockTolerance: HOUR })).refresh())
})

await t.test('a program that stays', async (t) => {
  await t.test('sees what is new when it refreshes', async (t) => {
    const simulator = new Simulator()
    const { repository } = await opened(t, simulator)
    await t.rejects(repository.resolve('a'), { code: 'TAG_NOT_SIGNED' })
    simulator.sign({ a: targetOf('a') })
    await repository.refresh()
    t.match(await repository.resolve('a'), { tag: 'a' })
  })
  await t.test('is told nothing from what expired meanwhile', async (t) => {
    let now: number = NOW
    const simulator = new Simulator()
    simulator.sign({ a: targetOf('a') })
    const { repository } = await opened(t, simulator, { clock: () => now })
    await repository.resolve('a')
    now = NOW + 2 * DAY
    await t.rejects(repository.resolve('a'), { code: 'EXPIRED' })
    simulator.now = now
    simulator.release()
    t.match(await repository.resolve('a'), { tag: 'a' })
  })
  await t.test('nor from a delegated role that expired before all others', async (t) => {
    let now: number = NOW
    const team = roleName('team')
    const simulator = new Simulator()
    simulator.delegate(TARGETS, team)
    simulator.publishTargets({ set: new Map([['a', targetOf('a')]]) }, team, (body) => ({
      ...body,
      expires: instant(NOW + HOUR),
      expiresText: new Date(NOW + HOUR).toISOString().replace('.000', ''),
    }))
    simulator.release()
    const { repository } = await opened(t, simulator, { clock: () => now })
    await repository.refresh()
    now = NOW + 2 * HOUR
    await t.rejects(repository.resolve('a'), { code: 'EXPIRED' }, 'although it was not yet when the rest was fetched')
    now = NOW
    const { repository: another } = await opened(t, simulator, { clock: () => now })
    t.match(await another.resolve('a'), { role: 'team' })
    now = NOW + 2 * HOUR
    await t.rejects(another.resolve('a'), { code: 'EXPIRED', detail: { role: 'team' } })
  })
  await t.test('refreshes once for what it asks at once', async (t) => {
    const simulator = new Simulator()
    simulator.sign({ a: targetOf('a'), b: targetOf('b') })
    const { repository } = await opened(t, simulator)
    await Promise.all(['a', 'b', 'a', 'b'].map((tag) => repository.resolve(tag)))
    t.equal(simulator.requests.filter((name) => name === 'timestamp.json').length, 1)
  })
  await t.test('is not told to give up because another question was given up', async (t) => {
    const simulator = new Simulator()
    simulator.sign({ a: targetOf('a') })
    const { repository } = await opened(t, simulator)
    const impatient = new AbortController()
    const given = repository.resolve('a', impatient.signal)
    const waiting = repository.resolve('a')
    impatient.abort()
    await t.rejects(given, { name: 'AbortError' })
    t.match(await waiting, { tag: 'a' })
  })
  await t.test('may ask again after a failure', async (t) => {
    const simulator = new Simulator()
    simulator.sign({ a: targetOf('a') })
    const timestamp = simulator.file('timestamp.json')
    simulator.files.delete('timestamp.json')
    const { repository } = await opened(t, simulator)
    await t.rejects(repository.resolve('a'), { code: 'NO_TRUST_DATA', detail: { repository: NAME } })
    simulator.files.set('timestamp.json', timestamp)
    t.match(await repository.resolve('a'), { tag: 'a' })
  })
})

await t.test('hex of another length is no digest', async (t) => {
  const simulator = new Simulator()
  simulator.sign({ a: { ...targetOf('a'), hashes: new Map([['sha256', 'ab']]) } })
  const { repository } = await opened(t, simulator)
  await t.rejects(repository.resolve('a'), { code: 'NO_KNOWN_HASH' })
})

await t.test('a view lists the delegated roles', async (t) => {
  const simulator = new Simulator()
  simulator.delegate(TARGETS, roleName('team'))
  simulator.sign({ a: targetOf('a') }, roleName('team'))
  const { repository } = await opened(t, simulator)
  const view = await repository.refresh()
  const names: string[] = []
  for await (const { role } of view.all()) names.push(role)
  t.same(names, ['team'])
  t.equal(view.targets.version, 2)
  t.match(await repository.resolve('a'), { role: 'team' })
})

await t.test('each repository has a folder of its own', async (t) => {
  const simulator = new Simulator()
  const { repository, stateDir } = await opened(t, simulator)
  await repository.refresh()
  t.equal(stateFolder(stateDir, NAME), join(stateDir, 'registry.example.com%2Fteam%2Fapp'))
  t.not(stateFolder('/s', `${'x'.repeat(300)}/a`), stateFolder('/s', `${'x'.repeat(300)}/b`))
})

await t.test('key pins need a repository name to compare', async (t) => {
  const pin = { kind: 'keys', keyids: [], threshold: 1 } as const
  t.throws(() => openRepository({ metadataUrl: 'https://h/', stateDir: '/s', pin }), { code: 'NOT_PINNED' })
  t.throws(() => openRepository({ metadataUrl: 'h', stateDir: '/s', pin: { kind: 'tofu' } }), { code: 'BAD_URL' })
})

await t.test('a pin shared by several repositories needs each root to name its own', async (t) => {
  const simulator = new Simulator()
  const { repository } = await opened(t, simulator, { sharedPin: true })
  await t.rejects(repository.refresh(), { code: 'REPOSITORY_MISMATCH', detail: { named: undefined } })
})

await t.test('errors carry what to do next, where there is something', async (t) => {
  const { repository } = await opened(t, new Simulator())
  const error: unknown = await repository.resolve('x').catch((reason: unknown) => reason)
  t.match(isClientError(error) && error.hint, 'tagseal list')
})
