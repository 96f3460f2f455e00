import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { NEXT, tryContainerdTwo } from '../../support/containerd.ts'
import { enforces, imageSaying } from '../../support/engine-journeys.ts'
import { openGatewayLab } from '../../support/gateway-lab.ts'
import { makeBinDir } from '../../support/image-verifier.ts'
import type { Stored } from '../../support/images.ts'
import { runProgram } from '../../support/program.ts'
import { pushImage, startRegistry, whyNoRegistry } from '../../support/registry.ts'
import { runInside } from '../../support/run-inside.ts'
import { STOCK_ENGINES } from '../../support/stock-engines.ts'

const skip = (await whyNoRegistry()) ?? false

// A hundred runs of programs, on machines that do other things as well.
t.setTimeout(900_000)
await t.test('containerd 2 through the gateway, by what doctor writes', { skip }, async (t) => {
  await enforces(t, STOCK_ENGINES['containerd 2'])
})

await t.test('containerd 2 asks our verifier before it pulls from a registry', { skip }, async (t) => {
  const registry = await startRegistry()
  t.teardown(registry.stop)
  const name = `${registry.host}/team/app`
  const gateway = await openGatewayLab({ name, rule: '    maxAge: 1s' })
  t.teardown(gateway.close)
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-verifier-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const bin = await makeBinDir(folder, ['--policy', join(gateway.folder, 'policy.yaml'), '--timeout', '50'])
  const config = `[plugins."io.containerd.image-verifier.v1.bindir"]
bin_dir = "${bin}"
per_verifier_timeout = "60s"
`
  const env = { TAGSEAL_HOME: join(folder, 'home') }
  const engine = await tryContainerdTwo({ registry: registry.host, gateway: registry.host }, { config, env })
  if (typeof engine === 'string') return void t.pass(engine, { skip: engine })
  t.teardown(engine.stop)
  const push = async (tag: string, text: string): Promise<Stored> =>
    await pushImage(registry, 'team/app', tag, imageSaying(text))
  const pull = async (what: string, ...more: string[]) =>
    await engine.ctr('images', 'pull', '--snapshotter', 'native', ...more, `${name}${what}`)

  const [first, last, moved, gone] = [
    await push('1.0', 'signed first'),
    await push('1.0', 'signed last'),
    await push('moved', 'signed'),
    await push('gone', 'signed and revoked'),
  ]
  gateway.sign({ '1.0': first })
  gateway.sign({ '1.0': last, moved, gone })
  gateway.lab.simulator.publishTargets({ remove: new Set(['gone']) })
  gateway.lab.simulator.release()
  const evil = await push('moved', 'evil')
  await push('unsigned', 'unsigned')

  for (const what of [':1.0', `@${last.digest}`]) {
    const ran = await pull(what)
    t.equal(ran.code, 0, ran.stdout + ran.stderr)
  }
  const store = await engine.store()
  const REFUSED = {
    ':moved': /DIGEST_DIFFERS/,
    ':unsigned': /TAG_NOT_SIGNED/,
    ':gone': /TAG_NOT_SIGNED/,
    [`@${first.digest}`]: /DIGEST_NOT_SIGNED/,
    [`@${evil.digest}`]: /DIGEST_NOT_SIGNED/,
  }
  for (const [what, code] of Object.entries(REFUSED)) {
    const ran = await pull(what)
    t.not(ran.code, 0)
    const said = ran.stdout + ran.stderr
    t.match(said, /blocked pull of .*verifier tagseal rejected image \(exit code 1\): refused: /)
    t.match(said, code)
  }
  t.equal(await engine.store(), store, 'and nothing of them is in the store')
  gateway.lab.interfere = (_file, response) => {
    response.writeHead(503).end()
    return true
  }
  await delay(1100)
  const blind = await pull(':1.0')
  t.not(blind.code, 0)
  t.match(
    blind.stdout + blind.stderr,
    /rejected image \(exit code 3\): refused: .*status 503/,
    'nor where nobody knows',
  )
  t.equal((await pull(':unsigned', '--local')).code, 0, 'whoever pulls with --local asks nobody')
})

await t.test('containerd 2 reads what doctor writes into its own default configuration', async (t) => {
  const containerd = async (...args: string[]) => await runProgram(join(NEXT, 'containerd'), args)
  const defaults = await containerd('config', 'default')
  if (defaults.code !== 0) return void t.pass('', { skip: 'SKIPPED: no containerd 2 is here (npm run debian)' })
  for (const [version, text] of Object.entries({ 'its own': defaults.stdout, none: undefined })) {
    const root = await mkdtemp(join(tmpdir(), 'tagseal-written-'))
    t.teardown(() => rm(root, { recursive: true, force: true }))
    const file = join(root, 'etc/containerd/config.toml')
    await mkdir(join(root, 'etc/containerd'), { recursive: true })
    if (text !== undefined) await writeFile(file, text)
    const args = ['--root', root, '--gateway', 'https://gateway.example.com', '--yes']
    t.match(await runInside(['doctor', '--write', 'containerd', ...args]), { exit: 0 })
    const { stdout, stderr } = await containerd('--config', file, 'config', 'dump')
    t.match(
      stdout,
      /\[plugins\.'io\.containerd\.cri\.v1\.images'\.registry\]\s+config_path = '\/etc\/containerd\/certs\.d'/,
      version + stderr,
    )
  }
})
