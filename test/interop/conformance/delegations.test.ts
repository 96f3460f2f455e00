/** The search through delegated roles, in the order that the specification says. */
import t from 'tap'
import { initialised, runCases } from '../conformance-client.ts'
import type { Case } from '../conformance-client.ts'
import { newKey, openPeerServer, PeerRepository, sha } from '../peer-repository.ts'
import type { Delegation } from '../peer-repository.ts'

const server = await openPeerServer()
t.teardown(() => server.close())

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
  by('targets', 'A', { paths: ['*.doc', '*.md', 'foo-?.tgz'] }),
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
  'by a question mark': { path: 'foo-1.tgz', visited: ['A'], found: true },
  'not where a question mark would have to be five letters': { path: 'foo-alpha.tgz', visited: [], found: false },
  'not where a wildcard would have to be a slash': { path: 'releases/README.md', visited: [], found: false },
  'not in other case': { path: 'README.MD', visited: [], found: false },
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
      for (const name of ['README.md', 'releases/README.md', 'foo-1.tgz', 'foo-alpha.tgz']) {
        repository.addArtifact('A', name, Buffer.from(`${name} by A`))
      }
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

const AUTHORITY: Record<string, Case> = {
  'a role is believed by one delegator, and not by another in the same run': async (t, { client, repository }) => {
    for (const team of ['a', 'b']) repository.delegate('targets', { name: `team-${team}`, paths: [`${team}/*`] })
    const [believed, other] = [newKey(), newKey()]
    repository.delegate('team-a', { name: 'release', paths: ['a/*'] }, believed)
    repository.delegate('team-b', { name: 'release', paths: ['b/*'] }, other)
    repository.signersOf('release').delete(other.keyid)
    for (const path of ['a/file', 'b/file']) repository.addArtifact('release', path, Buffer.from(path))
    repository.publish('release', 'team-a', 'team-b', 'targets', 'snapshot', 'timestamp')
    t.equal(await client.download(['a/file', 'b/file']), 1)
    t.equal(await client.download('b/file'), 1, 'nor by what an earlier run kept')
    t.same(client.downloads(), ['a/file'])
  },
  'a role that the snapshot does not list is not asked for': async (t, { client, repository }) => {
    repository.delegate('targets', { name: 'team', paths: ['*'] })
    repository.publish('team', 'targets')
    delete repository.meta('snapshot')['team.json']
    repository.publish('snapshot', 'timestamp')
    t.equal(await client.refresh(), 0)
    repository.asked.length = 0
    t.equal(await client.download('file'), 1)
    t.same(repository.asked, [
      ['root', 2],
      ['timestamp', undefined],
    ])
    t.equal(client.version('team'), undefined)
  },
}

await t.test('authority', async (t) => await runCases(t, server, AUTHORITY))

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
