/** Two repositories that other projects published, as they published them. They are read where they lie, not copied. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { asExecutable, ConformanceClient, inProcess } from './conformance-client.ts'

const VECTORS = join(import.meta.dirname, '../../../shared/vectors/tuf')

/** As `python -m http.server` would serve them. */
async function serve(t: Test): Promise<string> {
  const server = createServer((request, response) => {
    const path = join(VECTORS, normalize(decodeURIComponent(request.url ?? '/')))
    const found = existsSync(path)
    response.writeHead(found ? 200 : 404, { connection: 'close' }).end(found ? readFileSync(path) : '')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const read = (repository: string, name: string) => readFileSync(join(VECTORS, repository, name), 'utf8').trim()

if (!existsSync(VECTORS)) {
  t.comment(`SKIPPED LOUDLY: ${VECTORS} is not here, so no real repository was tried`)
} else {
  const url = await serve(t)
  for (const entry of readdirSync(VECTORS, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    for (const [how, runner] of Object.entries({ 'in this process': inProcess, 'as the executable': asExecutable })) {
      const skip = runner === asExecutable && !existsSync('/usr/bin/faketime') && 'no faketime here'
      await t.test(`${entry.name}, ${how}`, { skip }, async (t) => {
        const base = `${url}/${entry.name}`
        const client = new ConformanceClient(t.testdir(), runner, {
          metadataUrl: `${base}/metadata/`,
          targetsUrl: `${base}/targets/`,
        })
        const now = Date.parse(read(entry.name, 'faketime'))
        t.equal(await client.init(readFileSync(join(VECTORS, entry.name, 'initial_root.json'))), 0)
        t.equal(await client.refresh(now), 0)
        t.equal(await client.download(read(entry.name, 'targetpath'), now), 0)
        t.equal(client.downloads().length, 1)
      })
    }
  }
}
