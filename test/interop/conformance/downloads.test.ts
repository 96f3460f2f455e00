/** Targets as files: where they come from and where they may go. */
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCases } from '../conformance-client.ts'
import type { Case } from '../conformance-client.ts'
import { openPeerServer, sha } from '../peer-repository.ts'

const server = await openPeerServer()
t.teardown(() => server.close())

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
  'a name with everything that may stand in a URL goes out as it is': async (t, { client, repository }) => {
    const [name, content] = ["a:b@c&d=e+f$g,h;i!j'k(l)m*n~o", Buffer.from('odd')]
    repository.addArtifact('targets', name, content)
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download(name), 0)
    t.same(repository.askedArtifacts, [`${sha('sha256', content)}.${name}`])
  },
  'several targets in one run, up to the first that fails': async (t, { client, repository }) => {
    for (const name of ['a', 'b', 'c']) repository.addArtifact('targets', name, Buffer.from(`content of ${name}`))
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download(['a', 'missing', 'c']), 1)
    t.same(client.downloads(), ['content of a'])
    t.equal(await client.download(['b', 'c']), 0)
    t.same(client.downloads(), ['content of a', 'content of b', 'content of c'])
  },
  'several targets in one run can be told apart by their age': async (t, { client, repository }) => {
    const names = ['f', 'e', 'd', 'c', 'b', 'a']
    for (const name of names) repository.addArtifact('targets', name, Buffer.from(name))
    repository.publish('targets', 'snapshot', 'timestamp')
    t.equal(await client.download(names), 0)
    t.same(client.downloads(), names)
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
    t.equal(readFileSync(outside, 'utf8'), 'precious')
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

await runCases(t, server, DOWNLOADS)
