/** What a client asks for, keeps and refuses in a plain refresh. */
import t from 'tap'
import { ConformanceClient, initialised, inProcess, runCases } from '../conformance-client.ts'
import type { Case } from '../conformance-client.ts'
import { newKey, openPeerServer, PeerRepository, sha } from '../peer-repository.ts'
import type { Fields } from '../peer-repository.ts'

const TOP_REQUESTS = [
  ['root', 2],
  ['timestamp', undefined],
  ['snapshot', 1],
  ['targets', 1],
]

const server = await openPeerServer()
t.teardown(() => server.close())

const BASIC: Record<string, Case> = {
  'the first refresh asks for four files in order and keeps each as it came': async (t, { client, repository }) => {
    t.equal(await client.refresh(), 0)
    t.same(repository.asked, TOP_REQUESTS)
    for (const role of ['root', 'timestamp', 'snapshot', 'targets']) {
      t.equal(client.file(`${role}.json`), String(repository.newest(role)))
    }
  },
  'a second refresh asks for the next root and the timestamp only': async (t, { client, repository }) => {
    await client.refresh()
    repository.asked.length = 0
    t.equal(await client.refresh(), 0)
    t.same(repository.asked, TOP_REQUESTS.slice(0, 2))
  },
  'a download refreshes first, even for a target that nobody lists': async (t, { client, repository }) => {
    t.equal(await client.download('nonexistent artifact'), 1)
    t.same(repository.asked, TOP_REQUESTS)
    t.same(
      client.trusted().map(([name]) => name),
      ['root', 'snapshot', 'targets', 'timestamp'],
    )
  },
  'bytes are kept as received, trailing blank included': async (t, { client, repository }) => {
    const odd = Buffer.concat([repository.newest('timestamp') ?? Buffer.alloc(0), Buffer.from(' ')])
    repository.published.set('timestamp', [odd])
    t.equal(await client.refresh(), 0)
    t.equal(client.file('timestamp.json'), String(odd))
  },
  'a timestamp changed under the same version is not taken': async (t, { client, repository }) => {
    await client.refresh()
    repository.meta('timestamp')['snapshot.json'] = { version: 100 }
    repository.published.delete('timestamp')
    repository.publish('timestamp')
    t.equal(await client.refresh(), 0)
    t.same(repository.asked.at(-1), ['timestamp', undefined])
    t.same(client.metadata('timestamp.json').signed.meta['snapshot.json'], { version: 1 })
  },
  'listed hashes are checked': async (t, { client, repository }) => {
    repository.listHashes = true
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    repository.publish('targets')
    const listed = repository.meta('snapshot')['targets.json']
    if (listed?.hashes) listed.hashes['sha256'] = sha('sha256', 'another file')
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), 3)
    t.equal(client.version('targets'), 2)
  },
  'unknown fields in root, role and key are signed content': async (t, { client, repository }) => {
    await client.refresh()
    repository.of('root')['custom-field'] = 'value'
    repository.entry('root')['another-field'] = 'value'
    repository.addKey('root', newKey('ecdsa', { 'extra-field': { a: 1, b: 2 } }))
    repository.publish('root')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('root'), 2)
  },
  'the old keyid_hash_algorithms field means nothing': async (t, { client, repository }) => {
    repository.entry('snapshot').keyids = []
    repository.signersOf('snapshot').clear()
    repository.addKey('snapshot', newKey('ecdsa', { keyid_hash_algorithms: 'md5' }))
    repository.publish('root', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('snapshot'), 2)
  },
  'a snapshot that is not there leaves the new timestamp': async (t, { client, repository }) => {
    await client.refresh()
    repository.meta('timestamp')['snapshot.json'] = { version: 2 }
    repository.publish('timestamp')
    t.equal(await client.refresh(), 1)
    t.same(repository.asked.at(-1), ['snapshot', 2])
    t.same(client.trusted(), [
      ['root', 1],
      ['snapshot', 1],
      ['targets', 1],
      ['timestamp', 2],
    ])
  },
  'targets that are not there leave the new snapshot': async (t, { client, repository }) => {
    await client.refresh()
    repository.meta('snapshot')['targets.json'] = { version: 2 }
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.same(repository.asked.at(-1), ['targets', 2])
    t.same(client.trusted(), [
      ['root', 1],
      ['snapshot', 2],
      ['targets', 1],
      ['timestamp', 2],
    ])
  },
  'a timestamp that is not there ends the refresh': async (t, { client, repository }) => {
    await client.refresh()
    repository.published.delete('timestamp')
    t.equal(await client.refresh(), 1)
    t.same(repository.asked.at(-1), ['timestamp', undefined])
  },
  'a snapshot signed by the timestamp key is no timestamp': async (t, { client, repository }) => {
    const [key] = repository.signersOf('timestamp').values()
    if (key) repository.addKey('snapshot', key)
    repository.of('snapshot')['meta'] = { 'snapshot.json': { version: 1 } }
    repository.publish('root', 'snapshot')
    repository.published.set('timestamp', [repository.newest('snapshot') ?? Buffer.alloc(0)])
    t.equal(await client.refresh(), 1)
    t.same(client.trusted(), [['root', 2]])
  },
  'without consistent snapshots names carry no version': async (t, { client, repository }) => {
    repository.of('root')['consistent_snapshot'] = false
    repository.addArtifact('targets', 'plain', Buffer.from('plain content'))
    repository.publish('root', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.download('plain'), 0)
    t.same(repository.asked.slice(2), [
      ['timestamp', undefined],
      ['snapshot', undefined],
      ['targets', undefined],
    ])
    t.same(repository.askedArtifacts, ['plain'])
  },
  '256 roots are followed at once, the rest at the next refresh': async (t, { client, repository }) => {
    for (let i = 0; i < 300; i++) repository.publish('root')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('root'), 257)
    t.equal(await client.refresh(), 0)
    t.equal(client.version('root'), 301)
  },
}

/** What is refused at the start: no request is made for it. */
const INITIAL_ROOTS: Record<string, (file: { signatures: Fields[]; signed: Fields }) => void> = {
  'has no version': (file) => delete file.signed['version'],
  'is not signed by itself': (file) => {
    for (const signature of file.signatures) signature['sig'] = newKey().sign(Buffer.from('another')).toString('hex')
  },
  'has a threshold of nought': (file) => {
    for (const role of Object.values(file.signed['roles'] as Fields)) (role as Fields)['threshold'] = 0
  },
}

/** The role that goes wrong, and what is trusted at the end. */
const STOPS: Record<string, [string, number][]> = {
  root: [['root', 1]],
  timestamp: [['root', 2]],
  snapshot: [
    ['root', 2],
    ['timestamp', 2],
  ],
  targets: [
    ['root', 2],
    ['snapshot', 2],
    ['timestamp', 2],
  ],
}

await t.test('basic', async (t) => await runCases(t, server, BASIC))

await t.test('an initial root that', async (t) => {
  for (const [name, spoil] of Object.entries(INITIAL_ROOTS)) {
    await t.test(`${name} is refused without a request`, async (t) => {
      const repository = new PeerRepository()
      repository.replaceNewest('root', spoil)
      const { client } = await initialised(server, repository, { name: t.fullname, folder: t.testdir() })
      t.equal(await client.refresh(), 1)
      t.same(repository.asked, [])
    })
  }
})

await t.test('a file that is not signed', async (t) => {
  for (const [role, trusted] of Object.entries(STOPS)) {
    await t.test(`ends the refresh at ${role}`, async (t) => {
      const { client, repository } = await initialised(server, new PeerRepository(), {
        name: t.fullname,
        folder: t.testdir(),
      })
      repository.signersOf(role).clear()
      repository.publish('root', 'targets', 'snapshot', 'timestamp')
      t.equal(await client.refresh(), 1)
      t.same(client.trusted(), trusted)
    })
  }
})

await t.test('a file whose version is not the one in its name', async (t) => {
  for (const role of ['root', 'snapshot', 'targets']) {
    await t.test(`ends the refresh at ${role}`, async (t) => {
      const { client, repository } = await initialised(server, new PeerRepository(), {
        name: t.fullname,
        folder: t.testdir(),
      })
      repository.of(role).version += 1
      repository.publish('root', 'targets', 'snapshot', 'timestamp')
      if (role !== 'root') {
        const list = repository.meta(role === 'snapshot' ? 'timestamp' : 'snapshot')
        list[`${role}.json`] = { version: 2 }
        if (role === 'targets') repository.published.delete('snapshot')
        if (role === 'targets') repository.of('snapshot').version = 2
        if (role === 'targets') repository.published.set('snapshot', [Buffer.from(''), repository.sign('snapshot')])
        repository.published.set('timestamp', [repository.sign('timestamp')])
      }
      t.equal(await client.refresh(), 1)
      t.same(client.trusted(), STOPS[role])
    })
  }
})

await t.test('a client that was never initialised asks for nothing', async (t) => {
  const repository = new PeerRepository()
  const client = new ConformanceClient(t.testdir(), inProcess, server.serve(t.fullname, repository))
  t.equal(await client.refresh(), 1)
  t.same(repository.asked, [])
})
