import t from 'tap'
import { enforces } from '../../support/engine-journeys.ts'
import { whyNoRegistry } from '../../support/registry.ts'
import { runInside } from '../../support/run-inside.ts'
import { STOCK_ENGINES } from '../../support/stock-engines.ts'

const skip = (await whyNoRegistry()) ?? false

// A hundred runs of programs, on machines that do other things as well.
t.setTimeout(900_000)
await t.test('docker through the gateway, by what doctor writes', { skip }, async (t) => {
  await enforces(t, STOCK_ENGINES.docker, {
    'Docker Hub and every other registry are out of reach': async (t, { engine, gateway }) => {
      const asked = gateway.log.length
      const hub = await engine.pull('team/app:none')
      t.not(hub.code, 0)
      t.match(hub.stderr, /127\.0\.0\.1:9: connect: connection refused/, 'Docker Hub cannot be asked')
      t.ok(gateway.log.length > asked, 'and the gateway was')
      t.match((await engine.pull('registry.example.org/team/app:none')).stderr, /127\.0\.0\.1:9: connect/)
      const canary = ['--try', 'docker', '--canary', 'team/app:none']
      const args = ['doctor', '--root', engine.root, '--gateway', gateway.url, ...canary]
      const doctor = await runInside(args, { env: engine.env })
      t.match(doctor, { exit: 0, stdout: /canary: docker: refused/ }, doctor.stdout + doctor.stderr)
    },
  })
})
