import t from 'tap'
import { memoryCache } from '../../../client/trust/memory-cache.ts'
import type { TrustCache } from '../../../client/trust/cache.ts'
import type { MetadataSource } from '../../../client/trust/fetch.ts'
import { refresh } from '../../../client/trust/refresh.ts'
import type { RefreshOptions, Warning } from '../../../client/trust/refresh.ts'
import { delegatedRoles } from '../../../client/trust/resolve.ts'
import { DEFAULT_LIMITS, instant, roleName, TARGETS, version } from '../../../tuf/index.ts'
import type { Root } from '../../../tuf/index.ts'
import { signingKey } from '../../support/signing-key.ts'
import { DAY, NOW, Simulator, targetOf } from '../../support/simulator.ts'

const FILES = ['root.json', 'timestamp.json', 'snapshot.json', 'targets.json'] as const
const MINUTE = 60_000

type Client = {
  readonly simulator: Simulator
  readonly cache: TrustCache
  readonly warnings: Warning[]
  readonly refresh: (more?: Partial<RefreshOptions>) => ReturnType<typeof refresh>
}

/** A client that starts from the simulator's first root, and has refreshed once. */
async function settled(simulator = new Simulator()): Promise<Client> {
  const cache = memoryCache()
  const warnings: Warning[] = []
  const anchor = { kind: 'root', bytes: simulator.anchor() } as const
  const run = async (more: Partial<RefreshOptions> = {}) => {
    simulator.requests.length = 0
    const warn = (warning: Warning) => void warnings.push(warning)
    return await refresh({ judge: simulator.judge(), source: simulator, cache, anchor, warn, ...more })
  }
  await run()
  return { simulator, cache, warnings, refresh: run }
}

async function contents(cache: TrustCache): Promise<Record<string, string | undefined>> {
  const entries = FILES.map(async (name) => [name, Buffer.from((await cache.load(name)) ?? []).toString()] as const)
  return Object.fromEntries(await Promise.all(entries))
}

await t.test('gives the state and the bytes it was made from', async (t) => {
  const { simulator, refresh } = await settled()
  const trust = await refresh()
  t.same(simulator.requests, ['2.root.json', 'timestamp.json'])
  t.equal(trust.targets.version, 1)
  for (const role of ['root', 'timestamp', 'snapshot', 'targets'] as const) {
    t.same(Buffer.from(trust.files.get(role) ?? []), Buffer.from(simulator.newest(roleName(role))), role)
  }
})

await t.test('what was seen is not lowered by losing files', async (t) => {
  const LOSSES: Record<string, (cache: TrustCache) => Promise<void>> = {
    'all metadata is gone': (cache) => cache.dropAllBut([]),
    'the timestamp is gone': (cache) => cache.drop('timestamp.json'),
    'timestamp and snapshot are cut short': async (cache) => {
      for (const name of ['timestamp.json', 'snapshot.json']) {
        await cache.store(name, ((await cache.load(name)) ?? new Uint8Array()).slice(0, 100))
      }
    },
    'everything is nonsense': async (cache) => {
      for (const name of FILES) await cache.store(name, Buffer.from('nonsense'))
    },
  }
  for (const [name, lose] of Object.entries(LOSSES)) {
    await t.test(`${name}: an older timestamp is refused`, async (t) => {
      const { simulator, cache, refresh } = await settled()
      const old = simulator.file('timestamp.json')
      simulator.release()
      await refresh()
      await lose(cache)
      const before = await contents(cache)
      simulator.files.set('timestamp.json', old)
      await t.rejects(refresh(), { code: 'ROLLBACK', detail: { role: 'timestamp', trusted: 2, got: 1 } })
      t.equal((await contents(cache))['timestamp.json'], before['timestamp.json'], 'nothing was stored')
    })
    await t.test(`${name}: the next honest refresh mends it`, async (t) => {
      const { simulator, cache, refresh } = await settled()
      await lose(cache)
      t.equal((await refresh()).targets.version, 1)
      simulator.requests.length = 0
      await refresh()
      t.same(simulator.requests, ['2.root.json', 'timestamp.json'], 'all is back in the cache')
    })
  }

  await t.test('a shorter root chain is refused', async (t) => {
    const { simulator, cache, refresh } = await settled()
    simulator.publishRoot()
    simulator.publishRoot()
    await refresh()
    await cache.dropAllBut([])
    simulator.files.delete('3.root.json')
    await t.rejects(refresh(), { code: 'ROLLBACK', detail: { role: 'root', trusted: 3, got: 2 } })
  })

  await t.test('a snapshot whose roles went back is refused without the old one', async (t) => {
    const { simulator, cache, refresh } = await settled()
    simulator.sign({ a: targetOf('a') })
    simulator.sign({ b: targetOf('b') })
    await refresh()
    await cache.drop('snapshot.json')
    const back = version(2)
    simulator.publishSnapshot((body) => ({
      ...body,
      meta: new Map([[TARGETS, { version: back, unknown: new Map() }]]),
    }))
    simulator.publishTimestamp()
    await t.rejects(refresh(), { code: 'ROLLBACK', detail: { role: 'targets', trusted: 3, got: 2 } })
    simulator.publishSnapshot((body) => ({ ...body, meta: new Map() }))
    simulator.publishTimestamp()
    await t.rejects(refresh(), { code: 'ROLE_DISAPPEARED', detail: { role: 'targets', trusted: 3 } })
  })
})

await t.test('what was seen on the way to a failure counts too', async (t) => {
  const { simulator, cache, refresh } = await settled()
  const old = simulator.file('timestamp.json')
  simulator.release()
  simulator.files.delete('2.snapshot.json')
  await t.rejects(refresh(), { code: 'NO_TRUST_DATA' })
  await cache.drop('timestamp.json')
  simulator.files.set('timestamp.json', old)
  await t.rejects(refresh(), { code: 'ROLLBACK', detail: { role: 'timestamp' } })
})

await t.test('without its record the cached snapshot still bars the way back', async (t) => {
  const { simulator, cache, refresh } = await settled()
  simulator.sign({ a: targetOf('a') })
  await refresh()
  await cache.drop('seen')
  const back = version(1)
  simulator.publishSnapshot((body) => ({ ...body, meta: new Map([[TARGETS, { version: back, unknown: new Map() }]]) }))
  simulator.publishTimestamp()
  await t.rejects(refresh(), { code: 'ROLLBACK', detail: { role: 'targets' } })
})

await t.test('a record that is damaged is said aloud, and made again from what verifies', async (t) => {
  for (const damage of ['', 'nonsense', 'tagseal-seen-1 00\n{}']) {
    const { simulator, cache, warnings, refresh } = await settled()
    const old = simulator.file('timestamp.json')
    simulator.release()
    await refresh()
    await cache.store('seen', Buffer.from(damage))
    await refresh()
    t.match(warnings, [{ code: 'RECORD_DAMAGED' }])
    simulator.files.set('timestamp.json', old)
    await t.rejects(refresh(), { code: 'ROLLBACK' })
    t.equal(warnings.length, 1, 'once')
  }
})

await t.test('what the cached files say survives a damaged record and a failure after it', async (t) => {
  const { simulator, cache, refresh } = await settled()
  const old = simulator.file('timestamp.json')
  simulator.release()
  await refresh()
  await cache.store('seen', Buffer.from('nonsense'))
  const failing: MetadataSource = { get: async () => await Promise.reject(new Error('down')) }
  await t.rejects(refresh({ source: failing }), { message: 'down' })
  simulator.files.set('timestamp.json', old)
  await t.rejects(refresh(), { code: 'ROLLBACK' })
})

await t.test('first use happens once, although the root it settled on is lost', async (t) => {
  const LOSSES: Record<string, (cache: TrustCache) => Promise<void>> = {
    gone: (cache) => cache.drop('root.json'),
    damaged: (cache) => cache.store('root.json', Buffer.from('{"signed"')),
  }
  for (const [name, lose] of Object.entries(LOSSES)) {
    const cache = memoryCache()
    const simulator = new Simulator()
    const use = async (source: Simulator) =>
      await refresh({ judge: simulator.judge(), source, cache, anchor: { kind: 'tofu' } })
    simulator.publishRoot()
    await use(simulator)
    await lose(cache)
    const stranger = new Simulator()
    for (let i = 0; i < 3; i++) stranger.publishRoot()
    await t.rejects(use(stranger), { code: 'HASH_MISMATCH', detail: { what: 'root' } }, name)
    simulator.publishRoot()
    t.equal((await use(simulator)).root.version, 3, `${name}: the chain goes on from it`)
  }
})

await t.test('files that somebody changed are fetched again', async (t) => {
  for (const name of ['timestamp.json', 'snapshot.json', 'targets.json'] as const) {
    const { simulator, cache, refresh } = await settled()
    const bytes = Buffer.from((await cache.load(name)) ?? []).toString()
    await cache.store(name, Buffer.from(bytes.replace('"version":1', '"version":2')))
    t.equal((await refresh()).targets.version, 1)
    t.equal((await contents(cache))[name], bytes, name)
    t.equal(simulator.requests.length, name === 'timestamp.json' ? 2 : 3)
  }
  const { cache, refresh } = await settled()
  const foreign = new Simulator()
  await cache.store('root.json', Buffer.from('{}'))
  t.equal((await refresh()).root.version, 1, 'a root that is none gives way to the pin')
  await cache.store('targets.json', foreign.newest(TARGETS))
  t.equal((await refresh()).targets.version, 1)
})

await t.test('a clock that went back', async (t) => {
  const at = (client: Client, now: number) => client.refresh({ judge: client.simulator.judge({ now: instant(now) }) })
  await t.test('is refused before anything is asked', async (t) => {
    const client = await settled()
    await t.rejects(at(client, NOW - DAY), { code: 'CLOCK_WENT_BACK', detail: { now: NOW - DAY, seen: NOW } })
    t.same(client.simulator.requests, [])
  })
  await t.test('is let pass for the minutes by which clocks are corrected', async (t) => {
    const client = await settled()
    await t.resolves(at(client, NOW - 4 * MINUTE))
    await t.rejects(at(client, NOW - 6 * MINUTE), { code: 'CLOCK_WENT_BACK' })
  })
  await t.test('is noticed although every cached file is gone', async (t) => {
    const client = await settled()
    await client.cache.dropAllBut([])
    await t.rejects(at(client, NOW - DAY), { code: 'CLOCK_WENT_BACK' })
  })
  await t.test('after years ahead by mistake locks nobody out', async (t) => {
    const client = await settled()
    await t.rejects(at(client, NOW + 400 * DAY), { code: 'EXPIRED' })
    await t.resolves(at(client, NOW))
  })
})

await t.test('the record is not written when nothing is new', async (t) => {
  const { simulator, cache, refresh } = await settled()
  const stores: string[] = []
  const watched = {
    ...cache,
    store: async (name: string, bytes: Uint8Array) => void stores.push(name, String(bytes.length)),
  }
  await refresh({ cache: watched })
  t.same(stores, [])
  await refresh({ cache: watched, judge: simulator.judge({ now: instant(NOW + 2 * MINUTE) }) })
  t.same(
    stores.filter((name) => Number.isNaN(Number(name))),
    ['seen'],
    'the time alone is, after a minute',
  )
})

await t.test('a rejected update poisons nothing', async (t) => {
  const { simulator, cache, refresh } = await settled()
  const good = simulator.file('timestamp.json')
  simulator.release()
  await refresh()
  const newest = simulator.file('timestamp.json')
  const before = await contents(cache)
  simulator.files.set('timestamp.json', good)
  await t.rejects(refresh(), { code: 'ROLLBACK' })
  t.same(await contents(cache), before)
  simulator.files.set('timestamp.json', newest)
  simulator.release()
  t.equal((await refresh()).timestamp.version, 3)
})

await t.test('a failed root is never trusted later', async (t) => {
  const { simulator, cache, refresh } = await settled()
  const before = await contents(cache)
  const thief = signingKey()
  const stranger = new Simulator({ keys: { root: [thief] } })
  stranger.publishRoot()
  stranger.publishRoot()
  simulator.files.set('2.root.json', stranger.file('2.root.json'))
  simulator.files.set('3.root.json', stranger.file('3.root.json'))
  await t.rejects(refresh(), { code: 'THRESHOLD' })
  t.same(await contents(cache), before)
  simulator.publishRoot()
  await t.rejects(refresh(), { code: 'THRESHOLD' }, 'the good second root does not lead to the thief’s third')
  t.equal((await contents(cache))['root.json'], Buffer.from(simulator.file('2.root.json')).toString())
})

await t.test('only absence ends the root chain', async (t) => {
  const { simulator, refresh } = await settled()
  simulator.publishRoot()
  const failing: MetadataSource = {
    get: async (name, maxBytes) => {
      if (name === '2.root.json') throw new Error('410')
      return await simulator.get(name, maxBytes)
    },
  }
  await t.rejects(refresh({ source: failing }), { message: '410' })
})

await t.test('at most so many roots are walked in one go', async (t) => {
  const { simulator, cache, refresh } = await settled()
  for (let i = 0; i < 5; i++) simulator.publishRoot()
  const judge = simulator.judge({ limits: { ...DEFAULT_LIMITS, rootRotations: 3 } })
  t.equal((await refresh({ judge })).root.version, 4)
  t.equal((await refresh({ judge })).root.version, 6)
  await cache.drop('root.json')
  await t.rejects(refresh({ judge }), { code: 'ROLLBACK' }, 'not enough to be where it was')
  t.equal((await refresh({ judge })).root.version, 6, 'but the next goes on from there')
})

await t.test('replaced online keys', async (t) => {
  const REPLACED: Record<string, ('timestamp' | 'snapshot')[]> = {
    'of the timestamp': ['timestamp'],
    'of the snapshot': ['snapshot'],
    'of both': ['timestamp', 'snapshot'],
  }
  for (const [name, roles] of Object.entries(REPLACED)) {
    await t.test(`${name} let versions start again`, async (t) => {
      const { simulator, cache, refresh } = await settled()
      const far = version(2 ** 53 - 1)
      simulator.publishSnapshot((body) => ({ ...body, version: far }))
      simulator.publishTimestamp((body) => ({ ...body, version: far }))
      await refresh()
      await cache.dropAllBut(['root.json'])
      simulator.snapshot = { ...simulator.snapshot, version: version(4) }
      simulator.timestamp = { ...simulator.timestamp, version: version(4) }
      simulator.release()
      await t.rejects(refresh(), { code: 'ROLLBACK' })
      simulator.publishRoot(Object.fromEntries(roles.map((role) => [role, [signingKey()]])))
      simulator.release()
      t.equal((await refresh()).timestamp.version, 6)
      await t.resolves(refresh())
    })
  }
  await t.test('let versions start again although the first try failed', async (t) => {
    const online = signingKey()
    const { simulator, refresh } = await settled(new Simulator({ keys: { timestamp: [online] } }))
    simulator.publishTimestamp((body) => ({ ...body, version: version(1_000_000) }))
    await refresh()
    simulator.publishRoot({ timestamp: [online, signingKey()] })
    simulator.files.delete('timestamp.json')
    await t.rejects(refresh(), { code: 'NO_TRUST_DATA' })
    simulator.timestamp = { ...simulator.timestamp, version: version(1) }
    simulator.release()
    t.equal((await refresh()).timestamp.version, 2)
  })
  await t.test('do not lower the root', async (t) => {
    const { simulator, cache, refresh } = await settled()
    simulator.publishRoot({ timestamp: [signingKey()] })
    simulator.release()
    await refresh()
    await cache.drop('root.json')
    simulator.files.delete('2.root.json')
    await t.rejects(refresh(), { code: 'ROLLBACK', detail: { role: 'root' } })
  })
})

await t.test('another pin', async (t) => {
  const anchorOf = (simulator: Simulator, name = '1.root.json') =>
    ({ kind: 'root', bytes: simulator.file(name) }) as const
  await t.test('starts from its own root, and takes nothing of the old repository for its own', async (t) => {
    const online = { timestamp: [signingKey()], snapshot: [signingKey()], targets: [signingKey()] }
    const { simulator, refresh } = await settled(new Simulator({ keys: online }))
    for (let i = 0; i < 3; i++) simulator.release()
    simulator.sign({ old: targetOf('old') })
    await refresh()
    const again = new Simulator({ keys: online })
    again.sign({ fresh: targetOf('fresh') })
    const trust = await refresh({ source: again, anchor: anchorOf(again) })
    t.same([...trust.targets.targets.keys()], ['fresh'])
    await t.resolves(refresh({ source: again, anchor: anchorOf(again) }))
  })
  await t.test('takes nothing of the old repository’s delegated roles either, even after a crash', async (t) => {
    const team = roleName('team')
    const keys = { timestamp: [signingKey()], snapshot: [signingKey()], targets: [signingKey()] }
    const signers = [signingKey()]
    const made = (content: string) => {
      const simulator = new Simulator({ keys })
      simulator.delegate(TARGETS, team, { signers })
      simulator.sign({ a: targetOf(content) }, team)
      return simulator
    }
    const lengthOf = async (trust: Awaited<ReturnType<typeof refresh>>, source: Simulator, cache: TrustCache) =>
      (await delegatedRoles(trust, source, cache).find('a'))?.target.length
    const { simulator, cache, refresh: again } = await settled(made('old content'))
    t.equal(await lengthOf(await again(), simulator, cache), 11)
    const fresh = made('fresh')
    const anchor = anchorOf(fresh)
    const crashing = {
      ...cache,
      store: async (name: string, bytes: Uint8Array) => {
        if (name === 'root.json') throw new Error('killed')
        await cache.store(name, bytes)
      },
    }
    await t.rejects(again({ source: fresh, anchor, cache: crashing }), { message: 'killed' })
    t.equal(await lengthOf(await again({ source: fresh, anchor }), fresh, cache), 5)
  })
  await t.test('of the same chain forgets nothing', async (t) => {
    const { simulator, refresh } = await settled()
    const old = simulator.file('timestamp.json')
    simulator.publishRoot()
    simulator.release()
    await refresh()
    simulator.files.set('timestamp.json', old)
    await t.rejects(refresh({ anchor: anchorOf(simulator, '2.root.json') }), { code: 'ROLLBACK' })
  })
  await t.test('of a later link forgets nothing either', async (t) => {
    const { simulator, refresh } = await settled()
    const old = simulator.file('timestamp.json')
    simulator.release()
    await refresh()
    simulator.publishRoot()
    simulator.files.set('timestamp.json', old)
    await t.rejects(refresh({ anchor: anchorOf(simulator, '2.root.json') }), { code: 'ROLLBACK' })
  })
  await t.test('forgets nothing although its first try failed', async (t) => {
    const { simulator, refresh } = await settled()
    const old = simulator.file('timestamp.json')
    simulator.publishRoot()
    simulator.release()
    await refresh()
    const anchor = anchorOf(simulator, '2.root.json')
    const failing: MetadataSource = { get: async () => await Promise.reject(new Error('down')) }
    await t.rejects(refresh({ anchor, source: failing }), { message: 'down' })
    simulator.files.set('timestamp.json', old)
    await t.rejects(refresh({ anchor }), { code: 'ROLLBACK' })
  })
  await t.test('never lends its name to the root of the one before, even after a crash', async (t) => {
    const { simulator, cache, refresh } = await settled()
    const fresh = new Simulator()
    const crashing = {
      ...cache,
      store: async (name: string, bytes: Uint8Array) => {
        if (name === 'root.json') throw new Error('killed')
        await cache.store(name, bytes)
      },
    }
    await t.rejects(refresh({ source: fresh, anchor: anchorOf(fresh), cache: crashing }), { message: 'killed' })
    await t.rejects(refresh({ source: simulator, anchor: anchorOf(fresh) }), { code: 'THRESHOLD' })
    await t.resolves(refresh({ source: fresh, anchor: anchorOf(fresh) }))
  })
  await t.test('does not go on from what another one stored', async (t) => {
    const { simulator, refresh } = await settled()
    const other = new Simulator()
    await t.rejects(refresh({ anchor: anchorOf(other) }), { name: 'TrustError' })
    await t.rejects(refresh({ anchor: anchorOf(other) }), { name: 'TrustError' })
    t.equal((await refresh()).root.version, simulator.root.version)
  })
})

await t.test('mirrors', async (t) => {
  const down: MetadataSource = { get: async () => await Promise.reject(new Error('down')) }
  const empty: MetadataSource = { get: async () => undefined }
  const nonsense: MetadataSource = { get: async () => Buffer.from('nonsense') }
  for (const [name, bad] of Object.entries({ down, empty, nonsense })) {
    await t.test(`one that is ${name} costs requests and decides nothing`, async (t) => {
      const { simulator, refresh } = await settled()
      simulator.publishRoot()
      simulator.sign({ a: targetOf('a') })
      const trust = await refresh({ source: [bad, simulator] })
      t.equal(trust.root.version, 2)
      t.equal(trust.targets.version, 2)
      await t.resolves(refresh({ source: [bad, simulator] }))
    })
    await t.test(`nothing but ones that are ${name} is an error`, async (t) => {
      const { refresh } = await settled()
      await t.rejects(refresh({ source: [bad, bad] }))
    })
  }
  await t.test('one that is frozen past expiry gives way to the next', async (t) => {
    const frozen = new Map<string, Uint8Array>()
    const { simulator, refresh } = await settled()
    for (const [name, bytes] of simulator.files) frozen.set(name, bytes)
    const stale: MetadataSource = { get: async (name) => frozen.get(name) }
    simulator.now = NOW + 2 * DAY
    simulator.release()
    const judge = simulator.judge({ now: instant(NOW + 2 * DAY) })
    await t.rejects(refresh({ source: stale, judge }), { code: 'EXPIRED' })
    t.equal((await refresh({ source: [stale, simulator], judge })).timestamp.version, 2)
  })
})

await t.test('processes that finish in any order', async (t) => {
  await t.test('leave what was seen most', async (t) => {
    const { simulator, cache, refresh } = await settled()
    const old = simulator.file('timestamp.json')
    const slow: MetadataSource = {
      get: async (name, maxBytes) => {
        const bytes = await simulator.get(name, maxBytes)
        if (name === 'timestamp.json') {
          simulator.release()
          await refresh()
        }
        return bytes
      },
    }
    simulator.release()
    await refresh({ source: slow })
    await cache.drop('timestamp.json')
    simulator.files.set('timestamp.json', old)
    await t.rejects(refresh(), { code: 'ROLLBACK', detail: { trusted: 3 } })
  })
  await t.test('bring no thief’s version back after the keys were replaced', async (t) => {
    const online = signingKey()
    const { simulator, refresh } = await settled(new Simulator({ keys: { timestamp: [online] } }))
    simulator.publishTimestamp((body) => ({ ...body, version: version(1_000_000) }))
    let raced = false
    const slow: MetadataSource = {
      get: async (name, maxBytes) => {
        const bytes = await simulator.get(name, maxBytes)
        if (name !== 'timestamp.json' || raced) return bytes
        raced = true
        simulator.publishRoot({ timestamp: [online, signingKey()] })
        simulator.timestamp = { ...simulator.timestamp, version: version(1) }
        simulator.release()
        await refresh()
        return bytes
      },
    }
    await refresh({ source: slow })
    t.equal((await refresh()).timestamp.version, 2)
  })
})

await t.test('a root that names another repository ends the walk', async (t) => {
  const named = (name: string) => new Map([['x-tagseal-repository', name]])
  const name = { repository: 'a/b', required: true }
  const { simulator, cache } = await settled(new Simulator({ unknown: named('a/b') }))
  const anchor = { kind: 'root', bytes: simulator.anchor() } as const
  const options = { judge: simulator.judge(), source: simulator, cache, anchor }
  await t.resolves(refresh({ ...options, name }))
  await t.rejects(refresh({ ...options, name: { ...name, repository: 'a/c' } }), {
    code: 'REPOSITORY_MISMATCH',
    detail: { repository: 'a/c', named: 'a/b' },
  })
  const rename = (to: unknown) => (root: Root) => ({
    ...root,
    unknown: new Map([['x-tagseal-repository', to as string]]),
  })
  simulator.publishRoot({}, { twist: rename('a/c') })
  await t.rejects(refresh({ ...options, name }), { code: 'REPOSITORY_MISMATCH', detail: { named: 'a/c' } })
  simulator.files.delete('2.root.json')
  simulator.root = { ...simulator.root, version: version(1) }
  simulator.publishRoot({}, { twist: (root) => ({ ...root, unknown: new Map() }) })
  await t.rejects(refresh({ ...options, name }), { code: 'REPOSITORY_MISMATCH', detail: { named: undefined } })
  t.equal((await refresh({ ...options, name: { ...name, required: false } })).root.version, 2)
  simulator.root = { ...simulator.root, version: version(2) }
  simulator.publishRoot({}, { twist: rename(7) })
  await t.rejects(refresh({ ...options, name: { ...name, required: false } }), { code: 'MALFORMED' })
})
