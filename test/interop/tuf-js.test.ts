/** A stock TUF client refreshes from our server's URLs, and finds what was signed there. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Updater } from 'tuf-js'
import { openTestServer, REPO } from '../server/support/app.ts'

await t.test('tuf-js refreshes from our server and finds a tag', async (t) => {
  const server = await openTestServer(t, {}, { now: Date.now() })
  await server.create(['1.0', 'latest'])
  const url = await server.app.listen({ port: 0, host: '127.0.0.1' })
  const metadataBaseUrl = `${url}/v2/${REPO}/_trust/tuf`
  const metadataDir = join(t.testdir(), 'metadata')
  mkdirSync(metadataDir)
  const first = await server.get(`/v2/${REPO}/_trust/tuf/1.root.json`)
  writeFileSync(join(metadataDir, 'root.json'), first.rawPayload)

  const updater = new Updater({ metadataDir, metadataBaseUrl })
  await updater.refresh()
  const found = await updater.getTargetInfo('1.0')
  t.match(found?.hashes, { sha256: /^[0-9a-f]{64}$/ })
  t.equal(await updater.getTargetInfo('2.0'), undefined)
  for (const role of ['timestamp', 'snapshot', 'targets']) {
    const served = await server.get(`/v2/${REPO}/_trust/tuf/${role}.json`)
    t.equal(readFileSync(join(metadataDir, `${role}.json`), 'utf8'), served.payload, `${role} was stored as served`)
  }
})
