/**
 * What the TUF conformance suite asks of a client, asked again here: the suite itself is Python's. Most cases run in
 * this process; those at the end run the executable as the harness does, faketime included.
 */
import { existsSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { asExecutable, ConformanceClient, inProcess, initialised } from './conformance-client.ts'
import type { Runner, Setting } from './conformance-client.ts'
import { inDays, newKey, openPeerServer, PeerRepository, sha } from './peer-repository.ts'
import type { Delegation, Fields, PeerKey } from './peer-repository.ts'

const DAY = 86_400_000
const TOP_REQUESTS = [
  ['root', 2],
  ['timestamp', undefined],
  ['snapshot', 1],
  ['targets', 1],
]

const server = await openPeerServer()
t.teardown(() => server.close())

type Case = (t: Test, setting: Setting) => Promise<void>

/** Each case has a repository and a client of its own; the name in the URL has what Python quotes. */
async function runCases(t: Test, cases: Record<string, Case>, runner: Runner = inProcess): Promise<void> {
  for (const [name, run] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const setting = await initialised(server, new PeerRepository(), {
        name: `${t.fullname}[é]`,
        folder: t.testdir(),
        runner,
      })
      await run(t, setting)
    })
  }
}

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

const ROLLBACK: Record<string, Case> = {
  'a newer snapshot that the timestamp does not announce is not asked for': async (t, { client, repository }) => {
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    repository.publish('snapshot')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('snapshot'), 2)
    t.same(repository.asked.at(-1), ['timestamp', undefined])
  },
  'an older timestamp is refused': async (t, { client, repository }) => {
    repository.publish('timestamp')
    t.equal(await client.refresh(), 0)
    repository.published.delete('timestamp')
    repository.of('timestamp').version = 1
    repository.publish('timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('timestamp'), 2)
  },
  'targets may go back after the snapshot key was replaced': async (t, { client, repository }) => {
    for (let i = 0; i < 99; i++) repository.publish('targets')
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('targets'), 100)
    repository.rotateKeys('snapshot')
    repository.of('targets').version = 1
    repository.publish('root', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('targets'), 2)
  },
  'the snapshot may go back after both online keys were replaced': async (t, { client, repository }) => {
    for (let i = 0; i < 99; i++) repository.publish('snapshot')
    repository.publish('timestamp')
    t.equal(await client.refresh(), 0)
    repository.rotateKeys('snapshot')
    repository.rotateKeys('timestamp')
    repository.published.delete('snapshot')
    repository.of('snapshot').version = 1
    repository.publish('root', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('snapshot'), 1)
  },
  'the timestamp may go back after its key was replaced': async (t, { client, repository }) => {
    for (let i = 0; i < 99; i++) repository.publish('timestamp')
    t.equal(await client.refresh(), 0)
    repository.rotateKeys('timestamp')
    repository.published.delete('timestamp')
    repository.of('timestamp').version = 1
    repository.publish('root', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('timestamp'), 1)
  },
  'the timestamp may go back even where the old key still signs beside a new one': async (
    t,
    { client, repository },
  ) => {
    for (let i = 0; i < 9; i++) repository.publish('timestamp')
    t.equal(await client.refresh(), 0)
    repository.addKey('timestamp')
    repository.published.delete('timestamp')
    repository.of('timestamp').version = 1
    repository.publish('root', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('timestamp'), 1)
  },
  'an older snapshot that the timestamp does announce is good for a new client': async (t, { client, repository }) => {
    repository.publish('snapshot')
    repository.meta('timestamp')['snapshot.json'] = { version: 1 }
    repository.publish('root', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.same(client.trusted(), [
      ['root', 2],
      ['snapshot', 1],
      ['targets', 1],
      ['timestamp', 2],
    ])
  },
  'a listed role may not disappear': async (t, { client, repository }) => {
    repository.delegate('targets', { name: 'team', paths: ['*'] })
    repository.publish('team', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    delete repository.meta('snapshot')['team.json']
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), 2)
  },
}
for (const [name, listHashes] of [
  ['versions', false],
  ['versions and hashes', true],
] as const) {
  ROLLBACK[`an older snapshot is refused, listed by ${name}`] = async (t, { client, repository }) => {
    repository.listHashes = listHashes
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    repository.published.delete('snapshot')
    repository.of('snapshot').version = 1
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('timestamp'), 2)
    t.equal(client.version('snapshot'), 2)
    t.same(repository.asked.at(-1), ['timestamp', undefined])
  }
  ROLLBACK[`older targets are refused, listed by ${name}`] = async (t, { client, repository }) => {
    repository.listHashes = listHashes
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    repository.published.delete('targets')
    repository.of('targets').version = 1
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), 2)
    t.equal(client.version('targets'), 2)
  }
}

const EXPIRY: Record<string, Case> = {
  'an expired root is kept and ends the refresh': async (t, { client, repository }) => {
    await client.refresh()
    repository.of('root').expires = inDays(-1)
    repository.publish('root', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.same(client.trusted(), [
      ['root', 2],
      ['snapshot', 1],
      ['targets', 1],
      ['timestamp', 1],
    ])
  },
  'an expired root on the way does not matter': async (t, { client, repository }) => {
    repository.of('root').expires = inDays(-1)
    repository.publish('root')
    repository.of('root').expires = inDays(30)
    repository.publish('root')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('root'), 3)
  },
  'an expired timestamp is not kept': async (t, { client, repository }) => {
    await client.refresh()
    repository.of('timestamp').expires = inDays(-5)
    repository.publish('timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('timestamp'), 1)
  },
  'an expired snapshot is not kept': async (t, { client, repository }) => {
    await client.refresh()
    repository.of('snapshot').expires = inDays(-5)
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), 1)
    t.equal(client.version('timestamp'), 2)
  },
  'expired targets are not kept': async (t, { client, repository }) => {
    await client.refresh()
    repository.of('targets').expires = inDays(-5)
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('targets'), 1)
  },
  'an expired file in the cache still leads to a newer one': async (t, { client, repository }) => {
    repository.of('timestamp').expires = inDays(7)
    repository.publish('timestamp')
    t.equal(await client.refresh(), 0)
    repository.of('timestamp').expires = inDays(21)
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(Date.now() + 18 * DAY), 0)
    t.same(client.trusted(), [
      ['root', 1],
      ['snapshot', 2],
      ['targets', 2],
      ['timestamp', 3],
    ])
  },
  'an expired timestamp in the cache still bars the way back': async (t, { client, repository }) => {
    repository.of('timestamp').expires = inDays(7)
    repository.publish('timestamp')
    t.equal(await client.refresh(), 0)
    repository.published.delete('timestamp')
    Object.assign(repository.of('timestamp'), { version: 1, expires: inDays(21) })
    repository.publish('timestamp')
    t.equal(await client.refresh(Date.now() + 18 * DAY), 1)
    t.equal(client.version('timestamp'), 2)
  },
  'an expired delegated role is neither used nor kept': async (t, { client, repository }) => {
    repository.delegate('targets', { name: 'team', paths: ['team/*'] })
    repository.of('team').expires = inDays(-1)
    repository.addArtifact('team', 'team/file', Buffer.from('content'))
    repository.publish('team', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.equal(await client.download('team/file'), 1)
    t.same(client.downloads(), [])
    t.same(client.trusted(), [
      ['root', 1],
      ['snapshot', 2],
      ['targets', 2],
      ['timestamp', 2],
    ])
  },
  'a delegated role in the cache expires too, and gives way to a newer one': async (t, { client, repository }) => {
    repository.delegate('targets', { name: 'team', paths: ['team/*'] })
    repository.of('team').expires = inDays(7)
    repository.addArtifact('team', 'team/1', Buffer.from('first'))
    repository.addArtifact('team', 'team/2', Buffer.from('second'))
    repository.publish('team', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.download('team/1'), 0)
    t.equal(await client.download('team/2', Date.now() + 18 * DAY), 1)
    t.same(client.downloads(), ['first'])
    repository.of('team').expires = inDays(28)
    repository.publish('team', 'snapshot', 'timestamp')
    t.equal(await client.download('team/2', Date.now() + 18 * DAY), 0)
    t.same(client.downloads(), ['first', 'second'])
  },
}

const KEYS: Record<string, Case> = {
  'two of three required signatures are too few': async (t, { client, repository }) => {
    repository.entry('snapshot').threshold = 3
    repository.addKey('snapshot')
    repository.addKey('snapshot')
    repository.publish('root', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    const [first = ''] = repository.signersOf('snapshot').keys()
    repository.signersOf('snapshot').delete(first)
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), 2)
  },
  'a threshold above the number of keys is never met': async (t, { client, repository }) => {
    for (let i = 0; i < 4; i++) repository.addKey('snapshot')
    repository.entry('snapshot').threshold = 6
    repository.publish('root', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 1)
    t.equal(client.version('root'), 2)
    t.equal(client.version('snapshot'), undefined)
  },
  'one key listed and signing nine times counts once': async (t, { client, repository }) => {
    const key = newKey()
    for (let i = 0; i < 8; i++) repository.listKey('snapshot', key)
    repository.addKey('snapshot', key)
    repository.entry('snapshot').threshold = 6
    repository.publish('root', 'snapshot', 'timestamp')
    repository.replaceNewest('snapshot', (file) => {
      const signature = file.signatures.find(({ keyid }) => keyid === key.keyid) ?? {}
      for (let i = 0; i < 8; i++) file.signatures.push(signature)
    })
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), undefined)
  },
  'a signature repeated under one key id is refused although the threshold is met': async (
    t,
    { client, repository },
  ) => {
    repository.replaceNewest('snapshot', (file) => file.signatures.push(file.signatures[0] ?? {}))
    t.equal(await client.refresh(), 1)
    t.equal(client.version('snapshot'), undefined)
  },
  'a wrong signature or an empty one beside a good one does no harm': async (t, { client, repository }) => {
    const other = repository.addKey('timestamp')
    repository.publish('root', 'timestamp')
    const spoil = (sig: string) =>
      repository.replaceNewest('timestamp', ({ signatures }) => {
        for (const signature of signatures) if (signature['keyid'] === other.keyid) signature['sig'] = sig
      })
    spoil(other.sign(Buffer.from('something else')).toString('hex'))
    t.equal(await client.refresh(), 0)
    repository.publish('timestamp')
    spoil('')
    t.equal(await client.refresh(), 0)
  },
}
for (const kind of ['rsa', 'ecdsa', 'ed25519'] as const) {
  KEYS[`a root that needs a key of type ${kind} is accepted, and refused once its signature is wrong`] = async (
    t,
    { client, repository },
  ) => {
    const key = repository.addKey('root', newKey(kind))
    repository.entry('root').threshold = 2
    repository.publish('root')
    t.equal(await client.refresh(), 0)
    t.equal(client.version('root'), 2)
    repository.publish('root')
    repository.replaceNewest('root', ({ signatures }) => {
      for (const signature of signatures) {
        if (signature['keyid'] === key.keyid) signature['sig'] = newKey(kind).sign(Buffer.from('x')).toString('hex')
      }
    })
    t.equal(await client.refresh(), 1)
    t.equal(client.version('root'), 2)
  }
}

type RootVersion = readonly [keys: readonly number[], threshold: number, signers: readonly number[]]
const ROTATIONS: Record<string, { roots: readonly RootVersion[]; refused?: true }> = {
  '1 of 1, replaced': {
    roots: [
      [[1], 1, [1]],
      [[2], 1, [2, 1]],
      [[2], 1, [2]],
    ],
  },
  '1 of 1, replaced, with signatures of strangers': {
    roots: [
      [[1], 1, [3, 1, 4]],
      [[2], 1, [3, 2, 1, 4]],
      [[2], 1, [3, 2, 4]],
    ],
  },
  '3 of 5, signed by other three each time': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 2, 3, 4], 3, [0, 4, 1]],
      [[0, 1, 2, 3, 4], 3, [0, 1, 3]],
    ],
  },
  '3 of 5, one replaced': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 3, 4, 5], 3, [0, 4, 1]],
    ],
  },
  '3 of 5, one replaced by way of a fourth signature': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 3, 4, 5], 3, [0, 2, 4, 5]],
      [[0, 1, 3, 4, 5], 3, [0, 4, 5]],
    ],
  },
  '3 of 5, all replaced': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]],
      [[5, 6, 7, 8, 9], 3, [5, 6, 7]],
    ],
  },
  '1 of 3 becomes 2 of 3': {
    roots: [
      [[1, 2, 3], 1, [1]],
      [[1, 2, 3], 2, [1, 2]],
    ],
  },
  '2 of 3 becomes 1 of 3': {
    roots: [
      [[1, 2, 3], 2, [1, 2]],
      [[1, 2, 3], 1, [1, 2]],
      [[1, 2, 3], 1, [1]],
    ],
  },
  '1 of 1 becomes 2 of 2': {
    roots: [
      [[1], 1, [1]],
      [[1, 2], 2, [1, 2]],
    ],
  },
  'a root without the old key': {
    roots: [
      [[1], 1, [1]],
      [[2], 1, [2, 3, 4]],
    ],
    refused: true,
  },
  'a root without the new key': {
    roots: [
      [[1], 1, [1]],
      [[2], 1, [1, 3, 4]],
    ],
    refused: true,
  },
  'a root with two of the three new keys': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 3, 4, 5], 3, [0, 2, 4]],
    ],
    refused: true,
  },
  'a root with two of the three old keys': {
    roots: [
      [[0, 1, 2, 3, 4], 3, [0, 2, 4]],
      [[0, 1, 3, 4, 5], 3, [0, 4, 5]],
    ],
    refused: true,
  },
  'a root that misses its own higher threshold': {
    roots: [
      [[1, 2, 3], 1, [1]],
      [[1, 2, 3], 2, [2]],
    ],
    refused: true,
  },
  'a root that misses the higher threshold before it': {
    roots: [
      [[1, 2, 3], 2, [1, 2]],
      [[1, 2, 3], 1, [1]],
    ],
    refused: true,
  },
}

const OTHER_ROTATIONS: Record<string, { keys: RootVersion; refused?: true }> = {
  '1 of 1, replaced': { keys: [[2], 1, [2]] },
  '1 of 1, with signatures of strangers': { keys: [[1], 1, [3, 1, 4]] },
  '3 of 5': { keys: [[0, 1, 2, 3, 4], 3, [0, 2, 4]] },
  'not signed by the new key': { keys: [[2], 1, [1, 3, 4]], refused: true },
  'signed by two of three and a stranger': { keys: [[0, 1, 3, 4, 5], 3, [0, 2, 4]], refused: true },
  'signed by two of three': { keys: [[0, 1, 3, 4, 5], 3, [0, 4]], refused: true },
}

function useKeys(repository: PeerRepository, role: string, keys: readonly PeerKey[], version: RootVersion): void {
  const [listed, threshold, signers] = version
  const pick = (numbers: readonly number[]) => numbers.flatMap((i) => keys[i] ?? [])
  Object.assign(repository.entry(role), { threshold, keyids: [] })
  for (const key of pick(listed)) repository.listKey(role, key)
  repository.signers.set(role, new Map(pick(signers).map((key) => [key.keyid, key])))
}

const by = (delegator: string, name: string, more: Partial<Delegation> = {}): [string, Delegation] => [
  delegator,
  { name, paths: ['*'], ...more },
]
const GRAPHS: Record<string, { delegations: [string, Delegation][]; visited: string[] }> = {
  'one delegation': { delegations: [by('targets', 'A')], visited: ['A'] },
  'two delegations': { delegations: [by('targets', 'A'), by('targets', 'B')], visited: ['A', 'B'] },
  'two levels': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('B', 'C')],
    visited: ['A', 'B', 'C'],
  },
  'children before siblings': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('A', 'C'), by('A', 'D')],
    visited: ['A', 'C', 'D', 'B'],
  },
  'grandchildren before siblings': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('A', 'C'), by('C', 'D')],
    visited: ['A', 'C', 'D', 'B'],
  },
  'nothing after a terminating role': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('A', 'C', { terminating: true }), by('A', 'D')],
    visited: ['A', 'C'],
  },
  'a terminating role still has children': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('A', 'C', { terminating: true }), by('C', 'D')],
    visited: ['A', 'C', 'D'],
  },
  'a path that does not match leads nowhere': {
    delegations: [by('targets', 'A', { paths: ['*.py'] }), by('targets', 'B'), by('A', 'C')],
    visited: ['B'],
  },
  'nor does it one level down': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('A', 'C', { paths: ['*.py'] }), by('C', 'D')],
    visited: ['A', 'B'],
  },
  'a cycle ends': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('B', 'C'), by('C', 'D'), by('D', 'B')],
    visited: ['A', 'B', 'C', 'D'],
  },
  'two ways to one role': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('B', 'C'), by('A', 'C')],
    visited: ['A', 'C', 'B'],
  },
  'two ways to one role, the first without a matching path': {
    delegations: [by('targets', 'A'), by('targets', 'B'), by('B', 'C'), by('A', 'C', { paths: ['*.py'] })],
    visited: ['A', 'B', 'C'],
  },
  'names that look like numbers keep their order': {
    delegations: [by('targets', 'b'), by('targets', '10'), by('targets', '2')],
    visited: ['b', '10', '2'],
  },
}

function publishGraph(repository: PeerRepository, delegations: readonly [string, Delegation][]): void {
  for (const [delegator, delegation] of delegations) repository.delegate(delegator, delegation)
  const roles = new Set(delegations.flatMap(([delegator, { name }]) => [delegator, name]))
  repository.publish(...[...roles].filter((role) => role !== 'targets'), 'targets', 'snapshot', 'timestamp')
}

const TREE = [
  by('targets', 'A', { paths: ['*.doc', '*.md'] }),
  by('targets', 'B', { paths: ['releases/*/*'] }),
  by('B', 'C', { paths: ['releases/x/*'] }),
  by('B', 'D', { paths: ['releases/y/*.zip'] }),
]
const SEARCHES: Record<string, { path: string; visited: string[]; found: boolean }> = {
  'in targets itself': { path: 'targetfile', visited: [], found: true },
  'by a wildcard': { path: 'README.md', visited: ['A'], found: true },
  'two levels down': { path: 'releases/x/x_v1', visited: ['B', 'C'], found: true },
  'two levels down, by two wildcards': { path: 'releases/y/y_v1.zip', visited: ['B', 'D'], found: true },
  'not where a role of the chain does not delegate it': { path: 'releases/z/z_v1.zip', visited: ['B'], found: false },
}

const UNUSUAL_NAMES = [
  '?',
  '#',
  '/delegatedrole',
  '../delegatedrole',
  '..',
  'a b',
  '%2e',
  'é\u{1f600}',
  "it's",
  'a\\b',
  'x'.repeat(300),
  '__proto__',
  'constructor',
]

const DOWNLOADS: Record<string, Case> = {
  'a target in a folder arrives, by one request for its hash and name': async (t, { client, repository }) => {
    const content = Buffer.from('target file contents')
    repository.addArtifact('targets', 'path/to/a/target_file.txt', content)
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    t.same(client.downloads(), [])
    t.equal(await client.download('path/to/a/target_file.txt'), 0)
    t.same(client.downloads(), [String(content)])
    t.same(repository.askedArtifacts, [`path/to/a/${sha('sha256', content)}.target_file.txt`])
  },
  'the same target is not asked for again, a changed one replaces it': async (t, { client, repository }) => {
    repository.addArtifact('targets', 'file', Buffer.from('first'))
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download('file'), 0)
    t.equal(await client.download('file'), 0)
    t.equal(repository.askedArtifacts.length, 1)
    repository.addArtifact('targets', 'file', Buffer.from('other'))
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download('file'), 0)
    t.same(client.downloads(), ['other'])
  },
  'several targets in one run, up to the first that fails': async (t, { client, repository }) => {
    for (const name of ['a', 'b', 'c']) repository.addArtifact('targets', name, Buffer.from(`content of ${name}`))
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download(['a', 'missing', 'c']), 1)
    t.same(client.downloads(), ['content of a'])
    t.equal(await client.download(['b', 'c']), 0)
    t.same(client.downloads(), ['content of a', 'content of b', 'content of c'])
  },
  'other bytes than those that were signed leave nothing behind': async (t, { client, repository }) => {
    repository.addArtifact('targets', '1', Buffer.from('target file contents'))
    repository.addArtifact('targets', '2', Buffer.from('content'))
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download('1'), 0)
    for (const name of ['1', '2']) repository.artifacts.set(name, Buffer.from('malicious data - should not download'))
    await client.download('1')
    t.equal(await client.download('2'), 1)
    t.same(client.downloads(), ['target file contents'])
    repository.artifacts.set('2', Buffer.from('CONTENT'))
    t.equal(await client.download('2'), 1)
    t.same(client.downloads(), ['target file contents'])
  },
  'a target with no hash that we know is refused': async (t, { client, repository }) => {
    repository.addArtifact('targets', 'file', Buffer.from('x'))
    repository.targets()['file'] = { length: 1, hashes: { 'unknown-hash': sha('sha512', 'x') } }
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download('file'), 1)
    t.same(client.downloads(), [])
  },
  'a link where the file should go is refused, and what it points to untouched': async (t, { client, repository }) => {
    repository.addArtifact('targets', 'file', Buffer.from('new'))
    repository.publish('targets', 'snapshot', 'timestamp')
    const outside = join(client.metadataDir, '..', 'outside')
    writeFileSync(outside, 'precious')
    symlinkSync(outside, join(client.targetDir, 'file'))
    t.equal(await client.download('file'), 1)
    t.notOk(existsSync(`${outside}.new`))
  },
  'targets whose names are paths stay in the folder': async (t, { client, repository }) => {
    const names = ['/absolute', 'a//b', 'a\\b', 'é b', '.hidden', 'a?b#c', 'y'.repeat(255)]
    for (const name of names) repository.addArtifact('targets', name, Buffer.from(name))
    repository.addArtifact('targets', '../escaped', Buffer.from('escaped'))
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download(names), 0)
    t.same(client.downloads().toSorted(), names.toSorted())
    t.equal(await client.download('../escaped'), 1)
    t.notOk(existsSync(join(client.targetDir, '..', 'escaped')))
  },
}
for (const hashes of [['sha256'], ['sha512'], ['sha256', 'sha512']] as const) {
  DOWNLOADS[`a target hashed by ${hashes.join(' and ')} arrives`] = async (t, { client, repository }) => {
    const content = Buffer.from('target file contents')
    repository.addArtifact('targets', 'target_file.txt', content, [...hashes])
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download('target_file.txt'), 0)
    t.equal(repository.askedArtifacts.length, 1)
    t.ok(hashes.some((name) => repository.askedArtifacts[0] === `${sha(name, content)}.target_file.txt`))
    t.same(client.downloads(), [String(content)])
  }
}

await t.test('basic', async (t) => await runCases(t, BASIC))

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

await t.test('rollback', async (t) => await runCases(t, ROLLBACK))
await t.test('expiry', async (t) => await runCases(t, EXPIRY))
await t.test('keys', async (t) => await runCases(t, KEYS))

await t.test('root rotation', async (t) => {
  const keys = Array.from({ length: 10 }, () => newKey('ed25519'))
  for (const [name, { roots, refused }] of Object.entries(ROTATIONS)) {
    await t.test(`${refused ? 'refuses' : 'follows'} ${name}`, async (t) => {
      const repository = new PeerRepository()
      repository.published.delete('root')
      for (const version of roots) {
        useKeys(repository, 'root', keys, version)
        repository.publish('root')
      }
      const { client } = await initialised(server, repository, { name: t.fullname, folder: t.testdir() })
      t.equal(await client.refresh(), refused ? 1 : 0)
      t.equal(client.file('root.json'), String(repository.published.get('root')?.at(refused ? -2 : -1)))
    })
  }
})

await t.test('rotation of the other roles', async (t) => {
  const keys = Array.from({ length: 10 }, () => newKey('ed25519'))
  for (const [name, { keys: version, refused }] of Object.entries(OTHER_ROTATIONS)) {
    await t.test(`${refused ? 'refuses' : 'accepts'} ${name}`, async (t) => {
      const { client, repository } = await initialised(server, new PeerRepository(), {
        name: t.fullname,
        folder: t.testdir(),
      })
      for (const role of ['timestamp', 'snapshot', 'targets']) {
        useKeys(repository, role, keys, version)
        repository.publish('root', 'targets', 'snapshot', 'timestamp')
        t.equal(await client.refresh(), refused ? 1 : 0)
        if (!refused) t.equal(client.file(`${role}.json`), String(repository.newest(role)))
      }
    })
  }
})

await t.test('delegations are walked', async (t) => {
  for (const [name, { delegations, visited }] of Object.entries(GRAPHS)) {
    await t.test(`in order: ${name}`, async (t) => {
      const { client, repository } = await initialised(server, new PeerRepository(), {
        name: t.fullname,
        folder: t.testdir(),
      })
      publishGraph(repository, delegations)
      t.equal(await client.download('missingpath'), 1)
      t.same(
        repository.asked.slice(4).map(([role]) => role),
        visited,
      )
      repository.asked.length = 0
      t.equal(await client.download('missingpath'), 1)
      t.equal(repository.asked.length, 2, 'everything else is in the cache')
    })
  }
})

await t.test('a target is found', async (t) => {
  for (const [name, { path, visited, found }] of Object.entries(SEARCHES)) {
    await t.test(name, async (t) => {
      const { client, repository } = await initialised(server, new PeerRepository(), {
        name: t.fullname,
        folder: t.testdir(),
      })
      repository.addArtifact('targets', 'targetfile', Buffer.from('by targets'))
      for (const [delegator, delegation] of TREE) repository.delegate(delegator, delegation)
      repository.addArtifact('A', 'README.md', Buffer.from('by A'))
      repository.addArtifact('C', 'releases/x/x_v1', Buffer.from('x by C'))
      repository.addArtifact('D', 'releases/y/y_v1.zip', Buffer.from('y by D'))
      repository.addArtifact('D', 'releases/z/z_v1.zip', Buffer.from('z by D'))
      repository.publish('A', 'B', 'C', 'D', 'targets', 'snapshot', 'timestamp')
      t.equal(await client.download(path), found ? 0 : 1)
      t.same(client.downloads(), found ? [String(repository.artifacts.get(path))] : [])
      t.same(
        repository.asked.slice(4).map(([role]) => role),
        visited,
      )
    })
  }
})

await t.test('a delegated role named', async (t) => {
  for (const role of UNUSUAL_NAMES) {
    await t.test(`${JSON.stringify(role.slice(0, 20))} is asked for quoted, and kept inside the folder`, async (t) => {
      const { client, repository } = await initialised(server, new PeerRepository(), {
        name: sha('sha256', role),
        folder: t.testdir(),
      })
      repository.delegate('targets', { name: role, paths: ['*'] })
      repository.publish(role, 'targets', 'snapshot', 'timestamp')
      t.equal(await client.download('nonexistent target'), 1)
      const quoted = encodeURIComponent(role).replaceAll("'", '%27')
      t.same(repository.asked.at(-1), [quoted, 1])
      t.equal(client.trusted().length, 5)
    })
  }
})

await t.test('a target in a succinct hash bin is found in its own bin and no other', async (t) => {
  const { client, repository } = await initialised(server, new PeerRepository(), {
    name: t.fullname,
    folder: t.testdir(),
  })
  const key = newKey()
  const path = 'some/target'
  const own = (Number.parseInt(sha('sha256', path).slice(0, 2), 16) >> 4).toString(16)
  repository.of('targets')['delegations'] = {
    keys: { [key.keyid]: key.fields },
    succinct_roles: { keyids: [key.keyid], threshold: 1, bit_length: 4, name_prefix: 'bin' },
  }
  const bins = Array.from({ length: 16 }, (_, i) => `bin-${i.toString(16)}`)
  for (const bin of bins) {
    repository.addTargetsRole(bin)
    repository.signersOf(bin).set(key.keyid, key)
  }
  repository.addArtifact(`bin-${own}`, path, Buffer.from('in its own bin'))
  repository.addArtifact(`bin-${own === '0' ? '1' : '0'}`, 'stray', Buffer.from('in another'))
  repository.publish(...bins, 'targets', 'snapshot', 'timestamp')
  t.equal(await client.download(path), 0)
  t.same(repository.asked.slice(4), [[`bin-${own}`, 1]])
})

await t.test('downloads', async (t) => await runCases(t, DOWNLOADS))

await t.test('as the executable', async (t) => {
  const faketime = existsSync('/usr/bin/faketime')
  if (!faketime) t.comment('SKIPPED LOUDLY: the program faketime is not installed, so another time was not tried')
  await runCases(
    t,
    {
      'init, refresh and download': async (t, { client, repository }) => {
        repository.addArtifact('targets', 'file', Buffer.from('content'))
        repository.publish('targets', 'snapshot', 'timestamp')
        t.equal(await client.refresh(), 0)
        t.equal(await client.download('file'), 0)
        t.same(client.downloads(), ['content'])
      },
      'every failure exits with 1': async (t, { client, repository }) => {
        repository.published.delete('timestamp')
        t.equal(await client.refresh(), 1)
        t.equal(await client.download('file'), 1)
        t.equal(await asExecutable(['no-such-command'], undefined), 1)
        t.equal(await asExecutable(['--no-such-option'], undefined), 1)
      },
      ...(faketime && {
        'another time by faketime': async (t: Test, { client, repository }: Setting) => {
          repository.of('root').expires = inDays(7)
          repository.publish('root')
          t.equal(await client.refresh(), 0)
          t.equal(await client.refresh(Date.now() + 8 * DAY), 1)
        },
      }),
    },
    asExecutable,
  )
})

await t.test('a client that was never initialised asks for nothing', async (t) => {
  const repository = new PeerRepository()
  const client = new ConformanceClient(t.testdir(), inProcess, server.serve(t.fullname, repository))
  t.equal(await client.refresh(), 1)
  t.same(repository.asked, [])
})
