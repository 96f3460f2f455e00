/** A stock TUF client refreshes from our server's URLs, and finds what was signed there. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { Updater } from 'tuf-js'
import { nativeSuite } from '../../keys/native/suite.ts'
import { binFor, binNames, firstTargets, succinctBins } from '../../tuf/index.ts'
import { openTestServer, REPO } from '../server/support/app.ts'
import { context, setDelegations, signFile, signTargets, target } from '../server/support/party.ts'

/** Our server on a socket, with two signed tags, at this very moment. */
async function serverWithTags(t: Test) {
  const now = Date.now()
  const server = await openTestServer(t, {}, { now })
  const owner = await server.create(['1.0', 'latest'])
  const url = await server.app.listen({ port: 0, host: '127.0.0.1' })
  return { server, owner, now, metadataBaseUrl: `${url}/v2/${REPO}/_trust/tuf` }
}

/** A tuf-js client that was given the repository's first root. */
async function stockClient(t: Test, { server, metadataBaseUrl }: Awaited<ReturnType<typeof serverWithTags>>) {
  const metadataDir = join(t.testdir(), 'metadata')
  mkdirSync(metadataDir)
  const first = await server.get(`/v2/${REPO}/_trust/tuf/1.root.json`)
  writeFileSync(join(metadataDir, 'root.json'), first.rawPayload)
  return { metadataDir, updater: new Updater({ metadataDir, metadataBaseUrl }) }
}

await t.test('tuf-js refreshes, finds a tag, and keeps the very files that are served', async (t) => {
  const repository = await serverWithTags(t)
  const { metadataDir, updater } = await stockClient(t, repository)
  await updater.refresh()
  t.same((await updater.getTargetInfo('1.0'))?.hashes, Object.fromEntries(target('1.0').hashes))
  t.equal(await updater.getTargetInfo('2.0'), undefined)
  for (const role of ['timestamp', 'snapshot', 'targets']) {
    const served = await repository.server.get(`/v2/${REPO}/_trust/tuf/${role}.json`)
    t.equal(readFileSync(join(metadataDir, `${role}.json`), 'utf8'), served.payload, role)
  }
})

await t.test('tuf-js finds tags in hash bins', async (t) => {
  const repository = await serverWithTags(t)
  const { server, owner, now } = repository
  const delegations = succinctBins({ keys: [owner.targetsKey.key], threshold: 1 }, 2, 'bin')
  const { succinct } = delegations
  if (succinct === undefined) throw new Error('no bins were made')
  const tags = Array.from({ length: 12 }, (_, i) => `2.${i}`)
  setDelegations(owner, now, delegations)
  const files: Record<string, Uint8Array> = { targets: await signTargets(owner) }
  for (const bin of binNames(succinct)) {
    const own = tags.filter((tag) => binFor(succinct, tag, nativeSuite) === bin)
    const body = firstTargets({ set: new Map(own.map((tag) => [tag, target(tag)])) }, context(now))
    files[bin] = await signFile(body, owner.targetsKey)
  }
  t.equal((await server.publish(files)).statusCode, 200)
  const { updater } = await stockClient(t, repository)
  for (const tag of tags) t.ok(await updater.getTargetInfo(tag), tag)
  t.equal(await updater.getTargetInfo('3.0'), undefined)
})
