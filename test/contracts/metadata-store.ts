/** What every storage adapter must do. `open` gives an empty store; opening `again` gives the same one after a restart. */
import type { Test } from 'tap'
import { instant, keyId, roleName, version } from '../../tuf/index.ts'
import { hash } from '../../keys/digest.ts'
import type {
  DelegationChange,
  NewFile,
  NewProposal,
  Publication,
  Store,
  TokenRecord,
} from '../../server/storage/store.ts'

export type Adapter = { readonly open: (t: Test) => Promise<Store>; readonly again: (store: Store) => Promise<Store> }

const REPO = 'registry.example.com/team/app'
const EXPIRES = 2_000_000

function file(role: string, v: number, text = `${role} ${v}`, expires = EXPIRES): NewFile {
  const bytes = Buffer.from(text)
  return {
    role: roleName(role),
    version: version(v),
    bytes,
    length: bytes.length,
    sha256: hash('sha256', bytes),
    sha512: hash('sha512', bytes),
    expires: instant(expires),
    delegates: role === 'targets',
  }
}

function publication(base: number, files: readonly NewFile[], more: Partial<Publication> = {}): Publication {
  return { repository: REPO, base, at: 1000 + base, pruneBefore: 0, files, ...more }
}

const FIRST = publication(0, [file('root', 1), file('targets', 1), file('snapshot', 1), file('timestamp', 1)])

export async function storeContract(t: Test, adapter: Adapter): Promise<void> {
  await t.test('metadata', async (t) => metadataContract(t, adapter))
  await t.test('history', async (t) => historyContract(t, adapter))
  await t.test('upkeep', async (t) => upkeepContract(t, adapter))
  await t.test('what leaves', async (t) => departureContract(t, adapter))
  await t.test('the feed', async (t) => feedContract(t, adapter))
  await t.test('proposals', async (t) => proposalContract(t, adapter))
  await t.test('tokens', async (t) => tokenContract(t, adapter))
  await t.test('sightings', async (t) => sightingContract(t, adapter))
  await t.test('online keys', async (t) => keyContract(t, adapter))
  await t.test('audit and settings', async (t) => auditContract(t, adapter))
}

async function metadataContract(t: Test, { open, again }: Adapter): Promise<void> {
  await t.test('knows nothing of a repository that was never published', async (t) => {
    const { metadata } = await open(t)
    t.equal(await metadata.state(REPO), undefined)
    t.equal(await metadata.current(REPO, roleName('root')), undefined)
    t.same(await metadata.repositories({ limit: 10 }), [])
  })

  await t.test('gives back the very bytes that were published, by role, version and hash', async (t) => {
    const { metadata } = await open(t)
    t.same(await metadata.publish([FIRST]), [true])
    const role = roleName('targets')
    const { bytes, ...facts } = file('targets', 1)
    for (const found of [
      await metadata.current(REPO, role),
      await metadata.byVersion(REPO, role, 1),
      await metadata.byHash(REPO, role, facts.sha256),
    ]) {
      t.match(found, { ...facts, storedAt: 1000 })
      t.same(Buffer.from(found?.bytes ?? []), bytes)
    }
    t.equal(await metadata.byVersion(REPO, role, 2), undefined)
    t.equal(await metadata.byHash(REPO, role, '0'.repeat(64)), undefined)
    t.equal(await metadata.byHash(REPO, roleName('root'), facts.sha256), undefined, 'a hash belongs to its role')
  })

  await t.test('is the same after it was closed and opened', async (t) => {
    const store = await open(t)
    await store.metadata.publish([FIRST])
    const state = await store.metadata.state(REPO)
    const reopened = await again(store)
    t.same(await reopened.metadata.state(REPO), state)
    t.same(Buffer.from((await reopened.metadata.current(REPO, roleName('root')))?.bytes ?? []), file('root', 1).bytes)
    await reopened.close()
  })

  await t.test('answers false, and stores nothing, when the repository moved on', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    const before = await metadata.state(REPO)
    t.same(await metadata.publish([publication(0, [file('targets', 2)])]), [false])
    t.same(await metadata.publish([publication(7, [file('targets', 2)])]), [false])
    t.same(await metadata.state(REPO), before)
  })

  await t.test('stores of several publications those whose base still holds', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    const other = { ...FIRST, repository: 'registry.example.com/other' }
    t.same(await metadata.publish([publication(9, [file('targets', 2)]), other]), [false, true])
    t.equal((await metadata.state(REPO))?.files.get(roleName('targets'))?.version, 1)
    t.equal((await metadata.state(other.repository))?.revision, 1)
  })

  await t.test('stores of publishes at the same time each by itself: one that is wrong harms no other', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    const named = (name: string) => ({ ...FIRST, repository: `registry.example.com/${name}` })
    const stale = publication(1, [file('snapshot', 2), file('targets', 1, 'other bytes')])
    const publishing = [[named('a')], [stale], [named('b'), named('c')], [named('b')]]
    const done = await Promise.allSettled(publishing.map((publications) => metadata.publish(publications)))
    t.match(done, [{ value: [true] }, { status: 'rejected' }, { value: [true, true] }, { value: [false] }])
    t.equal((await metadata.state(REPO))?.revision, 1)
    for (const name of ['a', 'b', 'c']) t.ok(await metadata.state(named(name).repository), name)
  })

  await t.test('grows its revision with every write', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    for (let revision = 1; revision < 4; revision++) {
      t.equal((await metadata.state(REPO))?.revision, revision)
      await metadata.publish([publication(revision, [file('timestamp', revision + 1)])])
    }
  })

  for (const [name, v] of [
    ['the same version', 1],
    ['a lower version', 1],
  ] as const) {
    await t.test(`refuses ${name} with other bytes, and stores nothing of that publish`, async (t) => {
      const { metadata } = await open(t)
      await metadata.publish([FIRST])
      await metadata.publish([publication(1, [file('targets', name === 'a lower version' ? 2 : 1 + v)])])
      const before = await metadata.state(REPO)
      const wrong = publication(2, [file('snapshot', 2), file('targets', v, 'other bytes')])
      await t.rejects(metadata.publish([wrong]))
      t.same(await metadata.state(REPO), before)
      t.equal(await metadata.byVersion(REPO, roleName('snapshot'), 2), undefined)
    })
  }

  await t.test('lists repositories in order and by pages', async (t) => {
    const { metadata } = await open(t)
    for (const name of ['b', 'a', 'c']) await metadata.publish([{ ...FIRST, repository: name }])
    const names = async (limit: number, from?: string) =>
      (await metadata.repositories({ limit, ...(from === undefined ? {} : { from }) })).map(({ name }) => name)
    t.same(await names(2), ['a', 'b'])
    t.same(await names(2, 'b'), ['c'])
  })

  await t.test('counts what it holds', async (t) => {
    const { metadata } = await open(t)
    t.match(await metadata.summary(), { repositories: 0 })
    await metadata.publish([FIRST])
    const summary = await metadata.summary()
    t.match(summary, { repositories: 1, oldestTimestamp: 1000, firstExpiry: EXPIRES })
    t.ok(summary.bytes > 0)
  })

  await t.test('names the repositories that are due, soonest first', async (t) => {
    const { metadata } = await open(t)
    const due = (name: string, timestamp: number, snapshot: number) => ({
      ...FIRST,
      repository: name,
      files: [file('timestamp', 1, 't', timestamp), file('snapshot', 1, 's', snapshot)],
    })
    await metadata.publish([due('soon', 1000, 9000), due('sooner', 500, 9000), due('fine', 5000, 9000)])
    await metadata.publish([due('old snapshot', 6000, 2000), due('from the future', 50_000, 9000)])
    const windows = { timestamp: { soon: 1000, far: 10_000 }, snapshot: { soon: 2000, far: 10_000 } }
    const names = async (limit: number) => (await metadata.due('tuf-1.0', windows, limit)).map(({ name }) => name)
    t.same(await names(10), ['sooner', 'soon', 'old snapshot', 'from the future'])
    t.same(await names(1), ['sooner'])
  })

  await t.test('finds what is due of one dialect, and no snapshot that is not ours', async (t) => {
    const { metadata } = await open(t)
    const notary = (name: string, timestamp: number, snapshot: number, holdsSnapshot: boolean) => ({
      ...FIRST,
      repository: name,
      dialect: 'notary-v1' as const,
      holdsSnapshot,
      files: [file('timestamp', 1, 't', timestamp), file('snapshot', 1, 's', snapshot)],
    })
    await metadata.publish([notary('ours', 5000, 500, true), notary('theirs', 5000, 500, false)])
    await metadata.publish([notary('both', 900, 500, false), { ...FIRST, repository: 'tuf' }])
    const windows = { timestamp: { soon: 1000, far: 10_000 }, snapshot: { soon: 1000, far: 10_000 } }
    const due = await metadata.due('notary-v1', windows, 10)
    t.same(
      due.map(({ name, holdsSnapshot }) => [name, holdsSnapshot]),
      [
        ['both', false],
        ['ours', true],
      ],
    )
    await metadata.publish([{ ...publication(1, [file('timestamp', 2)]), repository: 'theirs', holdsSnapshot: true }])
    t.equal((await metadata.due('notary-v1', windows, 10)).length, 3, 'the key moved to us')
  })
}

async function departureContract(t: Test, { open }: Adapter): Promise<void> {
  const releases = roleName('targets/releases')
  const audit = { at: 1, action: 'delete', subject: REPO }

  await t.test('a role that leaves has no file, and comes back at any version', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([{ ...FIRST, files: [...FIRST.files, file('targets/releases', 3)] }])
    await metadata.publish([publication(1, [file('timestamp', 2)], { leaving: [releases] })])
    t.equal((await metadata.state(REPO))?.files.get(releases), undefined)
    t.equal(await metadata.current(REPO, releases), undefined)
    for (const [i, v] of [1, 2, 3].entries()) {
      const again = file('targets/releases', v, `again ${v}`)
      t.same(await metadata.publish([publication(2 + i, [again])]), [true])
      t.same(Buffer.from((await metadata.byVersion(REPO, releases, v))?.bytes ?? []), again.bytes)
    }
    await t.rejects(metadata.publish([publication(5, [file('targets/releases', 3, 'other')])]))
  })

  await t.test('a deleted repository is gone with its history, and leaves an entry in feed and audit', async (t) => {
    const store = await open(t)
    const { metadata, feed } = store
    const tags = [{ tag: 'v1', meaning: { digest: `sha256:${'ab'.repeat(32)}`, length: 1 } }]
    const changes = [{ role: roleName('targets'), version: version(1), keyids: [keyId('k')], tags }]
    await metadata.publish([{ ...FIRST, changes }])
    t.equal(await metadata.remove({ repository: REPO, at: 7, audit }), true)
    t.equal(await metadata.state(REPO), undefined)
    t.equal(await metadata.dialect(REPO), undefined)
    t.equal(await metadata.byVersion(REPO, roleName('root'), 1), undefined)
    t.same(await metadata.history(REPO, 'v1', { limit: 10 }), [])
    t.match(await feed.after({ from: 0, limit: 10 }), [
      { category: 'update', version: 1 },
      { category: 'deletion', version: 0, sha256: '', at: 7, repository: REPO },
    ])
    t.match(await store.audit.list({ limit: 10 }), [{ action: 'delete', subject: REPO }])
  })

  await t.test('to delete what is not there changes nothing', async (t) => {
    const store = await open(t)
    t.equal(await store.metadata.remove({ repository: REPO, at: 7, audit }), false)
    t.same(await store.feed.after({ from: 0, limit: 10 }), [])
    t.same(await store.audit.list({ limit: 10 }), [])
  })

  await t.test('what was computed for a deleted repository never becomes part of the next one', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    await metadata.remove({ repository: REPO, at: 7, audit })
    t.same(await metadata.publish([{ ...FIRST, dialect: 'notary-v1' }]), [true])
    t.same(await metadata.publish([publication(1, [file('timestamp', 2)])]), [false])
    t.equal((await metadata.state(REPO))?.dialect, 'notary-v1')
    t.same(await metadata.lastSigned(REPO), { timestamp: 1, snapshot: 1 })
    t.same(await metadata.lastSigned('other'), { timestamp: 0, snapshot: 0 })
  })
}

async function feedContract(t: Test, { open }: Adapter): Promise<void> {
  await t.test('of the feed, old updates go that others follow, and no deletion', async (t) => {
    const { metadata, feed } = await open(t)
    await metadata.publish([FIRST, { ...FIRST, repository: 'other' }])
    await metadata.publish([publication(1, [file('timestamp', 2)]), publication(2, [file('timestamp', 3)])])
    await metadata.remove({ repository: 'other', at: 1001, audit: { at: 1, action: 'delete', subject: 'other' } })
    t.equal(await feed.prune(1001, 10), 2, 'one of each')
    t.equal(await feed.prune(5000, 1), 1)
    t.equal(await feed.prune(5000, 10), 0)
    const left = (await feed.after({ from: 0, limit: 10 })).map(({ repository, version: v }) => [repository, v])
    t.same(left, [
      [REPO, 3],
      ['other', 0],
    ])
  })

  await t.test('the feed has one row for each timestamp, and pages forwards and backwards', async (t) => {
    const { metadata, feed } = await open(t)
    await metadata.publish([FIRST, { ...FIRST, repository: 'other' }])
    await metadata.publish([publication(1, [file('timestamp', 2)]), { ...publication(1, []), repository: 'other' }])
    const all = await feed.after({ from: 0, limit: 10 })
    const [first, second, third] = all.map(({ id }) => id)
    t.same(
      all.map(({ repository, version: v, sha256 }) => [repository, v, sha256]),
      [
        [REPO, 1, file('timestamp', 1).sha256],
        ['other', 1, file('timestamp', 1).sha256],
        [REPO, 2, file('timestamp', 2).sha256],
      ],
    )
    const ids = (entries: typeof all) => entries.map(({ id }) => id)
    t.same(ids(await feed.after({ from: first ?? 0, limit: 1 })), [second])
    t.same(ids(await feed.before({ limit: 2 })), [second, third])
    t.same(ids(await feed.before({ from: third ?? 0, limit: 1 })), [second])
    t.same(ids(await feed.after({ from: 0, limit: 10 }, REPO)), [first, third])
    t.same(ids(await feed.before({ limit: 1 }, 'other')), [second])
  })
}

async function historyContract(t: Test, { open }: Adapter): Promise<void> {
  const digest = (seed: string) => `sha256:${hash('sha256', Buffer.from(seed))}`
  const key = keyId('k1')

  await t.test('says what a tag meant, when, in which role and by whose keys, newest first', async (t) => {
    const { metadata } = await open(t)
    const tags = [
      { tag: 'latest', meaning: { digest: digest('a'), length: 10 } },
      { tag: '1.0', meaning: { digest: `sha512:${'ab'.repeat(64)}`, length: 11, besides: '' } },
      { tag: 'rich', meaning: { digest: digest('a'), length: 10, besides: 'cd'.repeat(32) } },
    ]
    const role = roleName('targets')
    await metadata.publish([{ ...FIRST, by: 'ci', changes: [{ role, version: version(1), keyids: [key], tags }] }])
    await metadata.publish([
      publication(1, [file('targets', 2)], {
        changes: [{ role, version: version(2), keyids: [key], tags: [{ tag: 'latest' }] }],
      }),
    ])
    const entries = await metadata.history(REPO, 'latest', { limit: 10 })
    t.match(entries, [
      { tag: 'latest', at: 1001, role: 'targets', version: 2, keyids: ['k1'] },
      { tag: 'latest', at: 1000, role: 'targets', version: 1, by: 'ci', meaning: { digest: digest('a'), length: 10 } },
    ])
    t.equal(entries[0]?.meaning, undefined, 'without a meaning: taken out')
    t.notHas(entries[1]?.meaning, { besides: '' }, 'a record of before says nothing of it')
    const meaningOf = async (tag: string) => (await metadata.history(REPO, tag, { limit: 1 }))[0]?.meaning
    t.same(await meaningOf('1.0'), { digest: `sha512:${'ab'.repeat(64)}`, length: 11, besides: '' })
    t.same(await meaningOf('rich'), { digest: digest('a'), length: 10, besides: 'cd'.repeat(32) })
    t.same(await metadata.history(REPO, 'never', { limit: 10 }), [])
    t.same(await metadata.history('elsewhere', 'latest', { limit: 10 }), [])
  })

  await t.test('says which tags changed since a moment, by pages, and how delegations were before it', async (t) => {
    const { metadata } = await open(t)
    const role = roleName('targets')
    const entry = (threshold: number) => ({
      keys: [],
      threshold,
      terminating: false,
      scope: { kind: 'paths', patterns: ['*'] },
    })
    const signed = { role, keyids: [key] }
    const meaning = { digest: digest('a'), length: 1 }
    const team = { role: 'team', entry: entry(1) }
    const first = { ...signed, version: version(1), tags: [{ tag: 'old', meaning }], delegations: [team] }
    await metadata.publish([{ ...FIRST, changes: [first] }])
    const change = (v: number, tag: string, delegations: DelegationChange[]) =>
      publication(v - 1, [file('targets', v)], {
        by: 'thief',
        changes: [{ ...signed, version: version(v), tags: [{ tag, meaning }], delegations }],
      })
    await metadata.publish([
      change(2, 'b', [
        { role: 'team', before: entry(1), entry: entry(2) },
        { role: 'new', entry: entry(1) },
      ]),
    ])
    await metadata.publish([change(3, 'a', [{ role: 'team', before: entry(2) }])])
    t.same(await metadata.changedTags(REPO, 1001, { limit: 9 }), ['a', 'b'])
    t.same(await metadata.changedTags(REPO, 1001, { limit: 1, from: 'a' }), ['b'])
    t.same(await metadata.changedTags(REPO, 1003, { limit: 9 }), [])
    t.same(await metadata.changedTags('elsewhere', 0, { limit: 9 }), [])
    const last = { delegator: 'targets', keyids: ['k1'], by: 'thief' }
    const changed = await metadata.changedDelegations(REPO, 1001, { limit: 9 })
    t.same(
      changed.map(({ id: _id, ...rest }) => rest),
      [
        { ...last, role: 'new', version: 2, at: 1001 },
        { ...last, role: 'team', version: 3, at: 1002, before: entry(1) },
      ],
    )
    const page = await metadata.changedDelegations(REPO, 1001, { limit: 1 })
    t.same(page, changed.slice(0, 1))
    t.same(await metadata.changedDelegations(REPO, 1001, { limit: 9, from: page[0]?.id ?? 0 }), changed.slice(1))
    t.same(await metadata.changedDelegations(REPO, 1003, { limit: 9 }), [])
    const audit = { at: 2000, action: 'delete', subject: REPO }
    await metadata.remove({ repository: REPO, at: 2000, audit })
    t.same(await metadata.changedDelegations(REPO, 0, { limit: 9 }), [])
  })

  await t.test('says how roles stood at a moment, without those that came since', async (t) => {
    const { metadata } = await open(t)
    const [targets, team] = [roleName('targets'), roleName('team')]
    const scope = { kind: 'paths', patterns: ['*'] }
    const entry = { keys: [], threshold: 1, terminating: false, scope }
    const signed = { keyids: [key], tags: [] }
    const added = (role: string) => ({ role, entry })
    const first = { ...signed, role: targets, version: version(1), delegations: ['a', 'b', 'c'].map(added) }
    await metadata.publish([{ ...FIRST, changes: [first] }])
    const next = (v: number, order?: string[], delegations: DelegationChange[] = []) =>
      publication(v - 1, [file('targets', v)], {
        by: 'thief',
        changes: [
          { ...signed, role: targets, version: version(v), delegations, ...(order === undefined ? {} : { order }) },
          { ...signed, role: team, version: version(v), order: ['one'] },
        ],
      })
    await metadata.publish([next(2, undefined, [added('late')])])
    await metadata.publish([next(3, ['a', 'late', 'b', 'c'], [{ role: 'a', before: entry }])])
    await metadata.publish([next(4, ['late', 'b', 'c'], [added('a')])])
    const last = { delegator: 'targets', keyids: ['k1'], by: 'thief', version: 4, at: 1003 }
    t.same(await metadata.changedOrders(REPO, 1001), [{ ...last, before: ['a', 'b', 'c'] }])
    t.same(await metadata.changedOrders(REPO, 1002), [{ ...last, before: ['a', 'late', 'b', 'c'] }])
    t.same(await metadata.changedOrders(REPO, 1004), [])
    t.same(await metadata.changedOrders('elsewhere', 0), [])
    await metadata.remove({ repository: REPO, at: 2000, audit: { at: 2000, action: 'delete', subject: REPO } })
    t.same(await metadata.changedOrders(REPO, 0), [])
  })

  await t.test('comes by pages', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    for (let v = 2; v <= 6; v++) {
      const tags = [{ tag: 'latest', meaning: { digest: digest(String(v)), length: v } }]
      const changes = [{ role: roleName('targets'), version: version(v), keyids: [key], tags }]
      await metadata.publish([publication(v - 1, [file('targets', v)], { changes })])
    }
    const first = await metadata.history(REPO, 'latest', { limit: 3 })
    t.same(
      first.map(({ version }) => version),
      [6, 5, 4],
    )
    const from = first.at(-1)?.id ?? 0
    t.same(
      (await metadata.history(REPO, 'latest', { limit: 3, from })).map(({ version }) => version),
      [3, 2],
    )
  })

  await t.test('of a refused publish says nothing', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    const tags = [{ tag: 'latest', meaning: { digest: digest('x'), length: 1 } }]
    const changes = [{ role: roleName('targets'), version: version(2), keyids: [key], tags }]
    t.same(await metadata.publish([publication(5, [file('targets', 2)], { changes })]), [false])
    t.same(await metadata.history(REPO, 'latest', { limit: 3 }), [])
  })
}

async function upkeepContract(t: Test, { open }: Adapter): Promise<void> {
  await t.test('drops superseded files after their time, never a root, never what is current', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    await metadata.publish([publication(1, [file('root', 2), file('targets', 2), file('timestamp', 2)])])
    const has = async (role: string, v: number) => (await metadata.byVersion(REPO, roleName(role), v)) !== undefined
    t.equal(await metadata.prune(1001, 100), 0, 'superseded this very moment: still being fetched')
    t.ok(await has('targets', 1))
    t.equal(await metadata.prune(1002, 1), 1, 'no more than asked for')
    t.equal(await metadata.prune(1002, 100), 1)
    t.notOk((await has('targets', 1)) || (await has('timestamp', 1)))
    t.ok((await has('root', 1)) && (await has('root', 2)) && (await has('snapshot', 1)) && (await has('targets', 2)))
    while (await metadata.reclaim());
  })

  await t.test('prunes within a publish too', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    await metadata.publish([publication(1, [file('targets', 2)])])
    await metadata.publish([publication(2, [file('targets', 3)], { pruneBefore: 1002 })])
    t.equal(await metadata.byVersion(REPO, roleName('targets'), 1), undefined)
    t.ok(await metadata.byVersion(REPO, roleName('targets'), 2))
  })

  await t.test('never takes back a version, also when its file was pruned', async (t) => {
    const { metadata } = await open(t)
    await metadata.publish([FIRST])
    await metadata.publish([publication(1, [file('targets', 5)])])
    await metadata.prune(9999, 100)
    await t.rejects(metadata.publish([publication(2, [file('targets', 1)])]))
  })
}

async function tokenContract(t: Test, { open }: Adapter): Promise<void> {
  const audit = { at: 1, action: 'token', subject: 'x' }
  const token = (name: string, more: Partial<TokenRecord> = {}): TokenRecord => ({
    id: `id-${name}`,
    name,
    hash: hash('sha256', Buffer.from(name)),
    repository: 'registry.example.com/**',
    actions: ['pull', 'push'],
    createdAt: 5,
    ...more,
  })

  await t.test('are found by hash and by id and listed, whole', async (t) => {
    const { tokens } = await open(t)
    const kept = token('ci', { expiresAt: 99 })
    t.equal(await tokens.add(kept, audit), true)
    t.same(await tokens.byHash(kept.hash), kept)
    t.equal(await tokens.byHash(token('other').hash), undefined)
    t.same(await tokens.byId(kept.id), kept)
    t.equal(await tokens.byId('ci'), undefined, 'a name is no id')
    t.same(await tokens.list(), [kept])
  })

  await t.test('have names that are unique among the living', async (t) => {
    const { tokens, audit: log } = await open(t)
    await tokens.add(token('ci'), audit)
    const second = token('ci', { id: 'id-2', hash: hash('sha256', Buffer.from('2')) })
    t.equal(await tokens.add(second, audit), false)
    t.equal((await log.list({ limit: 10 })).length, 1, 'what was not done is not written down')
    await tokens.revoke('ci', 10, audit)
    t.equal(await tokens.add(second, audit), true)
    t.equal((await tokens.revoke('ci', 20, audit))?.id, 'id-2', 'a name means the live one')
  })

  await t.test('once revoked stay so, since the first time', async (t) => {
    const { tokens } = await open(t)
    const kept = token('ci')
    await tokens.add(kept, audit)
    t.equal((await tokens.revoke(kept.id, 10, audit))?.revokedAt, 10)
    t.equal((await tokens.revoke(kept.id, 20, audit))?.revokedAt, 10)
    t.equal((await tokens.byHash(kept.hash))?.revokedAt, 10)
    t.equal(await tokens.revoke('nobody', 10, audit), undefined)
  })

  await t.test('remember their latest use', async (t) => {
    const { tokens } = await open(t)
    const kept = token('ci')
    await tokens.add(kept, audit)
    await tokens.used(
      new Map([
        [kept.id, 50],
        ['unknown', 50],
      ]),
    )
    await tokens.used(new Map([[kept.id, 40]]))
    t.equal((await tokens.byHash(kept.hash))?.lastUsedAt, 50)
  })
}

async function sightingContract(t: Test, { open }: Adapter): Promise<void> {
  const saw = (who: string, version: number, at: number) => ({ who, version, at })

  await t.test('keep what somebody was served last, of those that were seen last', async (t) => {
    const { metadata, sightings } = await open(t)
    await metadata.publish([FIRST])
    await sightings.saw(new Map([[REPO, [saw('a', 1, 10), saw('b', 1, 20), saw('c', 1, 30)]]]), 9)
    await sightings.saw(new Map([[REPO, [saw('a', 2, 40), saw('b', 9, 19)]]]), 2)
    t.same(await sightings.list(REPO, 9), [saw('a', 2, 40), saw('c', 1, 30)], 'and never an older one')
    t.same(await sightings.list(REPO, 1), [saw('a', 2, 40)])
    t.same(await sightings.list('elsewhere', 9), [])
  })

  await t.test('are forgotten with time, and with their repository', async (t) => {
    const { metadata, sightings } = await open(t)
    await metadata.publish([FIRST])
    await sightings.saw(
      new Map([
        [REPO, [saw('a', 1, 10), saw('b', 1, 20)]],
        ['nowhere', [saw('a', 1, 1)]],
      ]),
      9,
    )
    t.equal(await sightings.prune(20, 9), 1)
    t.same(await sightings.list(REPO, 9), [saw('b', 1, 20)])
    await metadata.remove({ repository: REPO, at: 30, audit: { at: 30, action: 'delete', subject: REPO } })
    t.same(await sightings.list(REPO, 9), [])
  })
}

async function keyContract(t: Test, { open }: Adapter): Promise<void> {
  const key = (id: string, createdAt: number) => ({
    repository: REPO,
    role: 'timestamp' as const,
    keyid: keyId(id),
    keytype: 'ed25519',
    scheme: 'ed25519',
    public: 'ab',
    sealed: Buffer.from(`sealed ${id}`),
    createdAt,
  })
  const none = () => undefined

  await t.test('are kept by repository and role, oldest first, before the repository exists', async (t) => {
    const { keys } = await open(t)
    await keys.add(key('b', 2), none)
    await keys.add(key('a', 1), none)
    t.same(
      (await keys.list(REPO, 'timestamp')).map(({ keyid }) => keyid),
      ['a', 'b'],
    )
    t.same(await keys.list(REPO, 'snapshot'), [])
    t.same(await keys.list('elsewhere', 'timestamp'), [])
    t.same(Buffer.from((await keys.list(REPO, 'timestamp'))[0]?.sealed ?? []), Buffer.from('sealed a'))
  })

  await t.test('take the place of those that the caller names, in one step', async (t) => {
    const { keys } = await open(t)
    await keys.add(key('a', 1), none)
    await keys.add(key('b', 2), none)
    await keys.add(key('c', 3), none, (kept) => kept.filter(({ keyid }) => keyid === 'a'))
    const ids = (await keys.list(REPO, 'timestamp')).map(({ keyid }) => keyid)
    t.same(ids, ['b', 'c'])
  })

  await t.test('are not added where the caller finds one to use instead', async (t) => {
    const { keys } = await open(t)
    await keys.add(key('a', 1), none)
    t.equal((await keys.add(key('b', 2), (kept) => kept[0])).keyid, 'a')
    t.equal((await keys.list(REPO, 'timestamp')).length, 1)
  })

  await t.test('say where the private half is, here or elsewhere', async (t) => {
    const { keys } = await open(t)
    const { sealed, ...outside } = key('b', 2)
    t.ok(sealed)
    await keys.add({ ...outside, signer: 'pkcs11:token=T;object=O' }, none)
    await keys.add(key('a', 1), none)
    const [here, there] = await keys.list(REPO, 'timestamp')
    t.same([here?.sealed && 'here', here?.signer], ['here', undefined])
    t.same([there?.sealed, there?.signer], [undefined, 'pkcs11:token=T;object=O'])
  })

  await t.test('tell whether another repository has the same one', async (t) => {
    const { keys } = await open(t)
    await keys.add(key('a', 1), none)
    t.equal(await keys.isElsewhere(keyId('a'), REPO), false)
    t.equal(await keys.isElsewhere(keyId('a'), 'elsewhere'), true)
    t.equal(await keys.isElsewhere(keyId('b'), 'elsewhere'), false)
  })

  await t.test('leave with the publish that retires them', async (t) => {
    const { keys, metadata } = await open(t)
    await keys.add(key('a', 1), none)
    await keys.add(key('b', 2), none)
    await metadata.publish([FIRST])
    const next = publication(1, [file('root', 2)], { retire: [keyId('a')] })
    t.same(await metadata.publish([{ ...next, base: 8 }]), [false])
    t.equal((await keys.list(REPO, 'timestamp')).length, 2, 'a publish that was not stored retires nothing')
    await metadata.publish([next])
    t.same(
      (await keys.list(REPO, 'timestamp')).map(({ keyid }) => keyid),
      ['b'],
    )
  })
}

async function auditContract(t: Test, { open, again }: Adapter): Promise<void> {
  await t.test('entries come newest first and by pages', async (t) => {
    const { audit, metadata } = await open(t)
    await audit.add({ at: 1, action: 'a', subject: 's', actor: 'ci', request: 'r-1', detail: { n: 1 } })
    await metadata.publish([{ ...FIRST, audit: { at: 2, action: 'publish', subject: REPO } }])
    const entries = await audit.list({ limit: 10 })
    t.match(entries, [{ action: 'publish' }, { at: 1, action: 'a', actor: 'ci', request: 'r-1', detail: { n: 1 } }])
    t.match(await audit.list({ limit: 10, from: entries[0]?.id ?? 0 }), [{ action: 'a' }])
    t.equal((await audit.list({ limit: 1 })).length, 1)
  })

  await t.test('the first value of a setting stays, unless it is replaced, which is written down', async (t) => {
    const store = await open(t)
    t.equal(await store.settings.get('x'), undefined)
    await store.settings.settle('x', Buffer.from('1'))
    t.same(Buffer.from(await store.settings.settle('x', Buffer.from('2'))), Buffer.from('1'))
    await store.settings.replace('y', Buffer.from('3'), { at: 1, action: 'replace', subject: 'y' })
    await store.settings.replace('y', Buffer.from('4'), { at: 2, action: 'replace', subject: 'y' })
    t.same(Buffer.from((await store.settings.get('y')) ?? []), Buffer.from('4'))
    t.match(await store.audit.list({ limit: 2 }), [
      { at: 2, subject: 'y' },
      { at: 1, subject: 'y' },
    ])
    const reopened = await again(store)
    t.same(Buffer.from((await reopened.settings.get('x')) ?? []), Buffer.from('1'))
    await reopened.check()
    await reopened.close()
    await t.rejects(reopened.check())
  })
}

async function proposalContract(t: Test, { open, again }: Adapter): Promise<void> {
  const audit = { at: 1, action: 'propose', subject: REPO }
  const [TARGETS, TEAM, ALICE, BOB] = [roleName('targets'), roleName('team'), keyId('alice'), keyId('bob')]
  const by = (keyid: typeof ALICE, role = TARGETS, sig = `by ${keyid}`) => ({ role, keyid, sig: Buffer.from(sig) })
  const idOf = (n: number) => String(n).padStart(32, '0')
  const proposal = (n: number, more: Partial<NewProposal> = {}): NewProposal => ({
    repository: REPO,
    id: idOf(n),
    likeness: `like ${n}`,
    createdAt: 1000 + n,
    expiresAt: 5000,
    by: 'ci',
    files: [{ role: TARGETS, version: 2, bytes: Buffer.from(`file ${n}`), base: Buffer.from('base') }],
    signatures: [by(ALICE)],
    ...more,
  })
  const bounds = { count: 3, bytes: 1000 }
  const ids = async (store: Store, now = 2000) => (await store.proposals.list(REPO, now)).map(({ id }) => Number(id))

  await t.test('come back whole, also after a restart, and are listed without their bytes', async (t) => {
    const store = await open(t)
    t.same(await store.proposals.add(proposal(1), bounds, audit), { kind: 'kept' })
    const reopened = await again(store)
    const found = await reopened.proposals.get(REPO, idOf(1), 2000)
    t.match(found, { id: idOf(1), createdAt: 1001, expiresAt: 5000, by: 'ci', stale: false })
    t.same(
      found?.files.map(({ bytes, base }) => [Buffer.from(bytes).toString(), Buffer.from(base ?? []).toString()]),
      [['file 1', 'base']],
    )
    t.match(found?.signatures, [{ role: TARGETS, keyid: ALICE }])
    t.match(await reopened.proposals.list(REPO, 2000), [{ id: idOf(1), files: [{ role: TARGETS, version: 2 }] }])
    t.match(await reopened.audit.list({ limit: 1 }), [{ action: 'propose' }])
    t.match(await reopened.metadata.summary(), { proposals: 1 })
    await reopened.close()
  })

  await t.test('sent again add their signatures, each key once, and nothing else', async (t) => {
    const store = await open(t)
    await store.proposals.add(proposal(1), bounds, audit)
    const second = proposal(1, { by: 'other', expiresAt: 9000, signatures: [by(ALICE, TARGETS, 'again'), by(BOB)] })
    t.same(await store.proposals.add(second, bounds, audit), { kind: 'kept' })
    const found = await store.proposals.get(REPO, idOf(1), 2000)
    t.match(found, { by: 'ci', expiresAt: 5000, signatures: [{ keyid: ALICE }, { keyid: BOB }] })
    t.same(Buffer.from(found?.signatures[0]?.sig ?? []).toString(), 'by alice')
  })

  await t.test('are signed, unless they are gone', async (t) => {
    const { proposals, audit: log } = await open(t)
    t.equal(await proposals.sign(REPO, idOf(1), [by(BOB)], audit), false)
    t.same(await log.list({ limit: 9 }), [], 'what was not done is not written down')
    await proposals.add(proposal(1), bounds, audit)
    const signing = [by(BOB), by(keyId('carol'))].map((each) => proposals.sign(REPO, idOf(1), [each], audit))
    t.same(await Promise.all(signing), [true, true])
    t.equal((await proposals.get(REPO, idOf(1), 2000))?.signatures.length, 3)
    t.equal(await proposals.withdraw(REPO, idOf(1), audit), true)
    t.equal(await proposals.withdraw(REPO, idOf(1), audit), false)
    t.equal(await proposals.get(REPO, idOf(1), 2000), undefined)
    t.equal(await proposals.sign(REPO, idOf(1), [by(BOB)], audit), false)
  })

  await t.test('of the same change are told from each other: the first stays', async (t) => {
    const store = await open(t)
    await store.proposals.add(proposal(1), bounds, audit)
    const like = proposal(2, { likeness: 'like 1' })
    t.same(await store.proposals.add(like, bounds, audit), { kind: 'like', id: idOf(1) })
    t.same(await store.proposals.add({ ...like, repository: 'elsewhere' }, bounds, audit), { kind: 'kept' })
    t.same(await ids(store), [1])
    const later = { ...like, createdAt: 5000, expiresAt: 9000 }
    t.same(await store.proposals.add(later, bounds, audit), { kind: 'kept' }, 'unless it has expired')
    t.same(await ids(store, 5001), [2])
  })

  await t.test('stay within their bounds, by number and by bytes, and make room for none that pends', async (t) => {
    const store = await open(t)
    for (const n of [1, 2, 3]) t.same(await store.proposals.add(proposal(n), bounds, audit), { kind: 'kept' })
    t.same(await store.proposals.add(proposal(4), bounds, audit), { kind: 'full' })
    t.same(await store.proposals.add(proposal(3, { signatures: [by(BOB)] }), bounds, audit), { kind: 'kept' })
    const few = { count: 99, bytes: 45 } // six bytes and four for each
    t.same(await store.proposals.add(proposal(5), few, audit), { kind: 'kept' })
    t.same(await store.proposals.add(proposal(6), few, audit), { kind: 'full' })
    t.same(await ids(store), [1, 2, 3, 5])
    t.same(await store.proposals.add({ ...proposal(6), repository: 'elsewhere' }, bounds, audit), { kind: 'kept' })
  })

  await t.test('are stale once a version of theirs is taken, and then the first to go', async (t) => {
    const store = await open(t)
    await store.metadata.publish([FIRST])
    const team = [{ role: TEAM, version: 1, bytes: Buffer.from('team') }]
    await store.proposals.add(proposal(1), bounds, audit)
    await store.proposals.add(proposal(2, { files: team }), bounds, audit)
    await store.proposals.add(proposal(3), bounds, audit)
    const stale = async () => (await store.proposals.list(REPO, 2000)).map((each) => each.stale)
    t.same(await stale(), [false, false, false])
    await store.metadata.publish([publication(1, [file('targets', 2)])])
    t.same(await stale(), [true, false, true])
    t.match(await store.proposals.get(REPO, idOf(3), 2000), { stale: true })
    t.same(await store.proposals.add(proposal(4, { files: team }), bounds, audit), { kind: 'kept' })
    t.same(await ids(store), [2, 3, 4])
  })

  await t.test('leave with the publish that completes them, and with their repository', async (t) => {
    const store = await open(t)
    await store.metadata.publish([FIRST])
    for (const n of [1, 2]) await store.proposals.add(proposal(n), bounds, audit)
    const next = publication(1, [file('targets', 2)], { completes: idOf(1) })
    t.same(await store.metadata.publish([{ ...next, base: 7 }]), [false])
    t.same(await ids(store), [1, 2], 'a publish that was not stored completes nothing')
    await store.metadata.publish([next])
    t.same(await ids(store), [2])
    await store.metadata.remove({ repository: REPO, at: 3000, audit })
    t.same(await ids(store), [])
    t.match(await store.metadata.summary(), { proposals: 0 })
  })

  await t.test('end with their time, and are dropped a few at a time', async (t) => {
    const store = await open(t)
    for (const n of [1, 2, 3]) await store.proposals.add(proposal(n, { expiresAt: 4000 + n }), bounds, audit)
    t.same(await ids(store, 4001), [2, 3], 'at the very instant')
    t.equal(await store.proposals.get(REPO, idOf(1), 4001), undefined)
    t.equal(await store.proposals.prune(4002, 1), 1)
    t.equal(await store.proposals.prune(4002, 9), 1)
    t.equal(await store.proposals.prune(4002, 9), 0)
    t.same(await ids(store, 0), [3])
  })
}
