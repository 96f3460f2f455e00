import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { openServedFiles } from '../../../server/serve/files.ts'
import { REPO, openTestServer } from '../support/app.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function heap(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

await t.test('asking for repositories that do not exist takes no memory', async (t) => {
  const { services } = await openTestServer(t)
  const files = openServedFiles(services.deps.store.metadata, 1024 * 1024)
  const ask = async (count: number) => {
    for (let i = 0; i < count; i++) await files.get(`registry.example.com/${'x'.repeat(200)}${i}`, 'root.json')
  }
  await ask(100)
  const before = heap()
  await ask(20_000)
  const grown = heap() - before
  t.ok(grown < 5 * 1024 * 1024, `${Math.round(grown / 1024)} KiB`)
  t.equal(await files.get(REPO, 'root.json'), undefined)
})

await t.test('what is read while something is published is not kept', async (t) => {
  const server = await openTestServer(t)
  await server.create()
  const { metadata } = server.services.deps.store
  let reads = 0
  const files = openServedFiles(
    {
      ...metadata,
      async current(repository, role) {
        if (reads++ === 0) files.changed(repository)
        return metadata.current(repository, role)
      },
    },
    1024 * 1024,
  )
  for (let i = 0; i < 3; i++) t.ok(await files.get(REPO, 'root.json'))
  t.equal(reads, 2, 'the first was read again, the second stays')
})
