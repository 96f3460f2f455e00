/** A gateway that does not run for a day, as on a machine that sleeps: what it holds in memory is of yesterday then. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { REPOSITORY_FIELD } from '../../../tuf/model/repository.ts'
import { openLab } from '../../support/attack-lab.ts'
import type { Interference } from '../../support/attack-lab.ts'
import { startGateway } from '../../support/gateway.ts'
import { startHostileRegistry } from '../../support/hostile-registry.ts'
import { buildImage } from '../../support/images.ts'
import { runProgram } from '../../support/program.ts'
import { DAY } from '../../support/simulator.ts'

const NAME = 'registry.test/team/app'
const skip = existsSync('/usr/bin/faketime') ? false : 'SKIPPED: faketime is not installed (apt-get install faketime)'

const GONE: Interference = (_file, response) => {
  response.destroy()
  return true
}

await t.test('a gateway that was stopped for a day', { skip }, async (t) => {
  const lab = await openLab({ unknown: new Map([[REPOSITORY_FIELD, NAME]]) }, NAME)
  t.teardown(lab.close)
  const registry = await startHostileRegistry()
  t.teardown(registry.close)
  const image = buildImage()
  registry.serve(image)
  const [algorithm = '', hex = ''] = image.manifest.digest.split(':')
  const target = { length: image.manifest.size, hashes: new Map([[algorithm, hex]]), unknown: new Map() }
  lab.simulator.sign({ '1.0': target })
  const folder = t.testdir()
  await writeFile(join(folder, 'root.json'), lab.simulator.anchor())
  const policy = `version: 1
defaultRegistry: registry.test
rules:
  - pattern: ${NAME}
    pin: { root: root.json }
    server: ${lab.url}
    maxAge: 12h
    upstream: { registry: "${registry.host}", plainHttp: true }
`
  const clock = join(folder, 'clock')
  await writeFile(clock, '+0')
  const gateway = await startGateway({ folder, policy, env: await clockFrom(clock) })
  t.teardown(() => gateway.stop('SIGKILL'))
  const paths = [
    'manifests/1.0',
    `manifests/${image.manifest.digest}`,
    ...image.layers.map(({ digest }) => `blobs/${digest}`),
  ]
  const ask = async (patience: number) =>
    await Promise.all(
      paths.map(async (path) => {
        const signal = AbortSignal.timeout(patience)
        try {
          return (await fetch(`${gateway.url}/v2/team/app/${path}`, { signal })).status
        } catch {
          return 'no answer'
        }
      }),
    )
  const good = paths.map(() => 200)
  t.same(await ask(60_000), good)
  gateway.signal('SIGSTOP')
  const waiting: ServerResponse[] = []
  lab.interfere = (_file, response) => waiting.push(response) > 0
  await writeFile(clock, '+1d')
  gateway.signal('SIGCONT')
  t.same(
    await ask(2000),
    paths.map(() => 'no answer'),
    'waits for a trust server that says nothing',
  )
  lab.interfere = GONE
  for (const response of waiting) response.destroy()
  t.notOk((await ask(60_000)).includes(200), 'refuses where there is none')
  lab.interfere = () => false
  t.notOk((await ask(60_000)).includes(200), 'refuses what it says of yesterday')
  lab.simulator.now += DAY
  lab.simulator.release()
  let last: readonly unknown[] = []
  for (let tries = 0; tries < 100 && last[0] !== 200; tries++) last = await delay(50).then(() => ask(60_000))
  t.same(last, good, 'and goes on with what is signed today')
  t.notOk(gateway.log().some(({ event }) => event === 'bug'))
})

/** The wall clock of a program goes by a file; the one that nobody sets goes on by itself. */
async function clockFrom(file: string): Promise<Record<string, string>> {
  const { stdout } = await runProgram('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD'])
  return {
    LD_PRELOAD: stdout.trim(),
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  }
}
