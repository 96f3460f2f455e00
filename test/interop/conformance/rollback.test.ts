/** Versions that go back, and the rotation of keys after which they may. */
import t from 'tap'
import { runCases } from '../conformance-client.ts'
import type { Case } from '../conformance-client.ts'
import { openPeerServer } from '../peer-repository.ts'

const server = await openPeerServer()
t.teardown(() => server.close())

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

await runCases(t, server, ROLLBACK)
