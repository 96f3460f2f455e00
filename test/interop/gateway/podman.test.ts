import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { enforces, imageSaying, push } from '../../support/engine-journeys.ts'
import { whyNoRegistry } from '../../support/registry.ts'
import { runInside } from '../../support/run-inside.ts'
import { STOCK_ENGINES } from '../../support/stock-engines.ts'

const skip = (await whyNoRegistry()) ?? false

// A hundred runs of programs, on machines that do other things as well.
t.setTimeout(900_000)
await t.test('podman through the gateway, by what doctor writes', { skip }, async (t) => {
  await enforces(t, STOCK_ENGINES.podman, {
    'a mirror that leaves a way around is told, and the canary goes that way': async (t, lab, tag) => {
      await push(lab, tag, imageSaying('unsigned'))
      const { engine, gateway, registry } = lab
      const before = await engine.store()
      const file = join(engine.root, 'etc/containers/registries.conf.d/999-tagseal.conf')
      const args = ['--gateway', gateway.url, '--canary', `${lab.name}:${tag}`, '--try', 'podman']
      const env = { ...engine.env, CONTAINERS_REGISTRIES_CONF: file }
      const doctor = async () => await runInside(['doctor', '--root', engine.root, ...args], { env })
      t.match(await doctor(), { exit: 0, stdout: /canary: podman: refused, as it has to be: .*has no signed tag/ })
      const mirror = `[[registry.mirror]]\nlocation = "${new URL(gateway.url).host}"\ninsecure = true\n`
      const open = `[[registry]]\nprefix = "${registry.host}"\nlocation = "${registry.host}"\ninsecure = true\n${mirror}`
      await writeFile(file, open)
      const told = await doctor()
      t.match(told, { exit: 1, stdout: /MIRRORS_FALL_BACK/ })
      t.match(told.stdout, /canary: podman: admitted: /)
      t.equal(await engine.store(), before, 'and what it pulled is removed again')
    },
  })
})
