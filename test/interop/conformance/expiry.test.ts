/** Files that expired, on the wire and in the cache. */
import t from 'tap'
import { runCases } from '../conformance-client.ts'
import type { Case } from '../conformance-client.ts'
import { inDays, openPeerServer } from '../peer-repository.ts'

const DAY = 86_400_000

const server = await openPeerServer()
t.teardown(() => server.close())

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
  'a run may be earlier than the one before': async (t, { client, repository }) => {
    for (const role of ['timestamp', 'snapshot', 'targets'] as const) repository.of(role).expires = inDays(60)
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.refresh(Date.now() + 18 * DAY), 0)
    t.equal(await client.refresh(), 0)
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

await runCases(t, server, EXPIRY)
