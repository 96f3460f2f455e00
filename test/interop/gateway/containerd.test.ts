import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { enforces, imageSaying, push } from '../../support/engine-journeys.ts'
import { whyNoRegistry } from '../../support/registry.ts'
import { runInside } from '../../support/run-inside.ts'
import { STOCK_ENGINES } from '../../support/stock-engines.ts'

const skip = (await whyNoRegistry()) ?? false

// A hundred runs of programs, on machines that do other things as well.
t.setTimeout(900_000)
await t.test('containerd through the gateway, by what doctor writes', { skip }, async (t) => {
  await enforces(t, STOCK_ENGINES.containerd, {
    'a hosts.toml that leaves a way around is told, and the canary goes that way': async (t, lab, tag) => {
      await push(lab, tag, imageSaying('unsigned'))
      const { engine, gateway } = lab
      const canary = ['--canary', `${lab.name}:${tag}`, '--try', 'containerd']
      const doctor = async () =>
        await runInside(['doctor', '--root', engine.root, '--gateway', gateway.url, ...canary], { env: engine.env })
      t.match(await doctor(), { exit: 0, stdout: /canary: containerd: refused, as it has to be: .*has no signed tag/ })
      const file = join(engine.root, 'etc/containerd/certs.d/_default/hosts.toml')
      const written = await readFile(file)
      await writeFile(file, `server = "${gateway.url}"\n`) // containerd 1 passes over it
      const alone = await doctor()
      t.match(alone, { exit: 1, stdout: /SERVER_ALONE/ })
      t.comment(/canary: containerd: .*/.exec(alone.stdout)?.[0] ?? '')
      await writeFile(file, `[host."${gateway.url}"]\ncapabilities = ["pull", "resolve"]\n`)
      const last = await doctor()
      t.match(last, { exit: 1, stdout: /REGISTRY_TRIED_LAST/ })
      t.match(last.stdout, /canary: containerd: admitted: /, 'and every containerd falls back to the registry here')
      await writeFile(file, written)
    },
  })
})
