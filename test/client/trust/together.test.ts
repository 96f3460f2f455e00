import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { openRepository, stateFolder } from '../../../client/index.ts'
import type { Anchor } from '../../../client/trust/anchor.ts'
import { directoryCache } from '../../../client/trust/directory-cache.ts'
import { withLock } from '../../../client/trust/lock.ts'
import { refreshTogether } from '../../../client/trust/together.ts'
import { instant } from '../../../tuf/index.ts'
import { Simulator, targetOf } from '../../support/simulator.ts'

const WITHIN = 5000
const PATIENT = 120_000

/** As many programs as one wants, of one user on one machine. */
function openMachine(t: Test) {
  const simulator = new Simulator()
  simulator.sign({ '1.0': targetOf('one') })
  const folder = t.testdir()
  const refresh = async (patience = PATIENT, anchor: Anchor = { kind: 'root', bytes: simulator.anchor() }) => {
    const judge = simulator.judge({ now: instant(simulator.now) })
    const options = { judge, source: { get: simulator.get }, cache: directoryCache(folder), anchor }
    return await refreshTogether(options, { folder, within: WITHIN }, patience)
  }
  const asked = () => simulator.requests.splice(0).filter((name) => name === 'timestamp.json').length
  return { simulator, refresh, asked, folder }
}

await t.test('fifty that start at once from cold ask once, and all of them get the answer', async (t) => {
  const { simulator, refresh, asked } = openMachine(t)
  const got = await Promise.all(Array.from({ length: 50 }, async () => await refresh()))
  t.ok(got.every(({ targets }) => targets.targets.has('1.0')))
  t.equal(asked(), 1)
  simulator.now += WITHIN - 1
  await refresh()
  t.equal(asked(), 0, 'nor does one that comes within the moment')
})

type Change = (machine: ReturnType<typeof openMachine>) => void
const ASKED_AGAIN: Record<string, Change> = {
  'the moment is over': ({ simulator }) => void (simulator.now += WITHIN),
  'the clock went back': ({ simulator }) => void (simulator.now -= 1),
  'the mark is damaged': ({ folder }) => writeFileSync(join(folder, 'refreshed'), '0 x\n'),
  'the mark is of another timestamp': ({ folder }) => {
    const mark = readFileSync(join(folder, 'refreshed'), 'utf8')
    writeFileSync(
      join(folder, 'refreshed'),
      mark.replace(/.\n$/, (end) => (end.startsWith('0') ? '1\n' : '0\n')),
    )
  },
  'the timestamp was replaced by one that does not verify': ({ folder }) =>
    writeFileSync(join(folder, 'timestamp.json'), '{}'),
  'the targets are gone': ({ folder }) => writeFileSync(join(folder, 'targets.json'), ''),
}
for (const [name, change] of Object.entries(ASKED_AGAIN)) {
  await t.test(`the next one asks for itself where ${name}`, async (t) => {
    const machine = openMachine(t)
    await machine.refresh()
    machine.asked()
    change(machine)
    t.ok((await machine.refresh()).targets.targets.has('1.0'))
    t.equal(machine.asked(), 1)
  })
}

await t.test('and so does one with another pin, however fresh the state of the first is', async (t) => {
  const { simulator, refresh, asked } = openMachine(t)
  simulator.publishRoot()
  await refresh()
  asked()
  await refresh(PATIENT, { kind: 'root', bytes: simulator.file('2.root.json') })
  t.equal(asked(), 1)
})

await t.test('what expired is not answered from, however short ago it was refreshed', async (t) => {
  const { simulator, refresh } = openMachine(t)
  simulator.now = simulator.timestamp.expires - 1
  await refresh()
  simulator.now += 1
  await t.rejects(refresh(), { code: 'EXPIRED' })
})

await t.test('one that is stuck is waited for a while, and then not any more', async (t) => {
  const { refresh, asked, folder } = openMachine(t)
  mkdirSync(folder, { recursive: true })
  const { promise: stuck, resolve: free } = Promise.withResolvers<void>()
  const holding = withLock(join(folder, 'refreshing'), async () => await stuck)
  const all = Promise.all(Array.from({ length: 3 }, async () => await refresh(500)))
  await delay(200)
  t.equal(asked(), 0)
  await all
  t.equal(asked(), 3, 'each one for itself')
  free()
  await holding
})

await t.test('a repository shares where that is asked for, and never to publish', async (t) => {
  const simulator = new Simulator()
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1)
    simulator.requests.push(name)
    const file = simulator.files.get(name)
    response.writeHead(file === undefined ? 404 : 200).end(file)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const metadataUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const [stateDir, pin] = [t.testdir(), { kind: 'root', bytes: simulator.anchor() } as const]
  const open = (shareWithin?: number) => {
    const repository = openRepository({ metadataUrl, stateDir, pin, clock: () => simulator.now, shareWithin })
    t.teardown(() => repository.close())
    return repository
  }
  const asked = () => simulator.requests.splice(0).filter((name) => name === 'timestamp.json').length
  await open(WITHIN).refresh()
  await open(WITHIN).refresh()
  t.equal(asked(), 1)
  t.match(readFileSync(join(stateFolder(stateDir, 'repository'), 'refreshed'), 'utf8'), /^\d+ root /)
  await open().refresh()
  await open(WITHIN).refreshToPublish()
  t.equal(asked(), 2)
})
