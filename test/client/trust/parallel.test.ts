import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { openRepository } from '../../../client/index.ts'
import { Simulator, targetOf } from '../../support/simulator.ts'

const REFRESHER = fileURLToPath(new URL('./refresher.ts', import.meta.url))

await t.test('many processes refresh one folder while the repository moves and half of them are killed', async (t) => {
  const simulator = new Simulator()
  simulator.now = Date.now()
  simulator.release()
  const server = createServer((request, response) => {
    const file = simulator.files.get((request.url ?? '').slice(1))
    response.writeHead(file === undefined ? 404 : 200).end(file)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const stateDir = t.testdir()
  const root = join(stateDir, 'root')
  writeFileSync(root, simulator.anchor())

  const children = Array.from({ length: 12 }, () =>
    spawn(process.execPath, [REFRESHER, url, stateDir, root, '15'], { stdio: ['ignore', 'pipe', 'pipe'] }),
  )
  let moves = 0
  const moving = setInterval(() => simulator.sign({ [`v${moves++}`]: targetOf('x') }), 5)
  const endings = children.map(async (child, i) => {
    const [output, errors] = [text(child.stdout), text(child.stderr)]
    const ended = once(child, 'exit')
    if (i % 2 === 0) setTimeout(() => child.kill('SIGKILL'), 150 + Math.random() * 300)
    await ended
    return { killed: child.signalCode !== null, code: child.exitCode, output: await output, errors: await errors }
  })
  const results = await Promise.all(endings)
  clearInterval(moving)

  for (const { killed, code, output, errors } of results) {
    if (!killed) t.equal(code, 0, errors)
    const versions = output
      .split('\n')
      .filter((line) => /^\d+$/.test(line))
      .map(Number)
    t.same(
      versions,
      versions.toSorted((a, b) => a - b),
      'no process ever went back',
    )
  }
  const folder = join(stateDir, 'a%2Fb')
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith('.json'))) {
    t.doesNotThrow(() => JSON.parse(readFileSync(join(folder, name), 'utf8')) as unknown, name)
  }
  const pin = { kind: 'root', bytes: simulator.anchor() } as const
  const warnings: unknown[] = []
  const warn = (warning: unknown) => void warnings.push(warning)
  const repository = openRepository({ metadataUrl: url, stateDir, repository: 'a/b', pin, warn })
  t.equal((await repository.refresh()).timestamp.version, simulator.timestamp.version)
  t.same(warnings, [])
  repository.close()
})
