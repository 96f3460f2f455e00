import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { Test } from 'tap'
import { tryDocker } from '../support/engines.ts'
import { startGateway } from '../support/gateway.ts'
import type { TestGateway, TestGatewayOptions } from '../support/gateway.ts'
import { buildImage, buildIndex } from '../support/images.ts'
import { startProxy } from '../support/proxy.ts'
import type { Proxy } from '../support/proxy.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { runInside } from '../support/run-inside.ts'
import { STOCK_ENGINES, writtenFor } from '../support/stock-engines.ts'
import type { StockEngine } from '../support/stock-engines.ts'
import { openTown, pinFrom } from '../support/town.ts'
import type { Person, Town } from '../support/town.ts'

// Four engines, one after the other, on machines that do other things as well.
t.setTimeout(900_000)
const skip = (await whyNoRegistry()) ?? false
/** How old an answer may be here, in milliseconds: what is signed or revoked is seen soon. */
const MAX_AGE = 1000

type Lab = {
  readonly town: Town
  readonly owner: Person
  readonly gateway: TestGateway
  readonly settings: TestGatewayOptions
  /** In front of the registry: what upstream was asked. */
  readonly upstream: Proxy
}

type Journey = (t: Test, lab: Lab, engine: StockEngine, tag: string) => Promise<void>

const JOURNEYS: Record<string, Journey> = {
  'a signed image is pulled': async (t, lab, engine, tag) => {
    const digest = await release(lab, tag, 'signed')
    const ran = await engine.pull(imageOf(lab, tag))
    t.equal(ran.code, 0, ran.stderr)
    t.match(await engine.has(repositoryOf(lab)), digest)
  },
  'an index is pulled for this machine': async (t, lab, engine, tag) => {
    const own = process.arch === 'arm64' ? 'arm64' : 'amd64'
    await lab.town.push(tag, buildIndex([{ architecture: own }, { architecture: 's390x' }]))
    t.equal((await lab.owner.run(['sign', `${lab.town.repository}:${tag}`])).code, 0)
    await delay(MAX_AGE)
    const ran = await engine.pull(imageOf(lab, tag))
    t.equal(ran.code, 0, ran.stderr)
  },
  'a tag that moved in the registry is pulled as it was signed': async (t, lab, engine, tag) => {
    const digest = await release(lab, tag, 'signed')
    await lab.town.push(tag, imageWith('evil'))
    const ran = await engine.pull(imageOf(lab, tag))
    t.equal(ran.code, 0, ran.stderr)
    t.match(await engine.has(repositoryOf(lab)), digest)
  },
  'a tag that was signed anew is never the older signed one again': async (t, lab, engine, tag) => {
    const old = await release(lab, tag, 'old')
    const digest = await release(lab, tag, 'new')
    await lab.town.push(tag, imageWith(`${tag} old`))
    const ran = await engine.pull(imageOf(lab, tag))
    t.equal(ran.code, 0, ran.stderr)
    const has = await engine.has(repositoryOf(lab))
    t.match(has, digest)
    t.notMatch(has, old)
  },
  'an image that nobody signed is refused in words, and nobody upstream is asked': async (t, lab, engine, tag) => {
    await lab.town.push(tag, imageWith('unsigned'))
    await refused(t, lab, engine, tag, 'TAG_NOT_SIGNED')
  },
  'a tag that was revoked is refused': async (t, lab, engine, tag) => {
    await release(lab, tag, 'signed')
    t.equal((await lab.owner.run(['revoke', `${lab.town.repository}:${tag}`])).code, 0)
    await delay(MAX_AGE)
    await refused(t, lab, engine, tag, 'TAG_NOT_SIGNED')
  },
  'by what doctor writes, an image under the name of its registry': async (t, lab, engine, tag) => {
    if (engine.pullConfigured === undefined) return void t.pass('this engine is told by the name of the image')
    const digest = await release(lab, tag, 'signed')
    await lab.town.push(tag, imageWith('evil'))
    await lab.town.push(`${tag}-unsigned`, imageWith('unsigned'))
    const { host } = lab.town.registry
    const ran = await engine.pullConfigured(host, lab.gateway.host, `${host}/team/app:${tag}`)
    t.equal(ran.code, 0, ran.stderr)
    t.match(await engine.has(`${host}/team/app`), digest)
    const refusal = await engine.pullConfigured(host, lab.gateway.host, `${host}/team/app:${tag}-unsigned`)
    t.not(refusal.code, 0, 'and there is no way around the gateway')
    t.notMatch(await engine.has(`${host}/team/app`), `${tag}-unsigned`)
  },
  'ten pulls at once': async (t, lab, engine, tag) => {
    await release(lab, tag, 'signed')
    const rans = await Promise.all(Array.from({ length: 10 }, () => engine.pull(imageOf(lab, tag))))
    t.same(
      rans.map(({ code }) => code),
      rans.map(() => 0),
      rans.map(({ stderr }) => stderr).join(''),
    )
  },
}

async function refused(t: Test, lab: Lab, engine: StockEngine, tag: string, reason: string): Promise<void> {
  const before = lab.upstream.seen.length
  const ran = await engine.pull(imageOf(lab, tag))
  t.not(ran.code, 0)
  t.same(lab.upstream.seen.slice(before), [], 'upstream is asked nothing')
  t.notMatch(await engine.has(repositoryOf(lab)), `app:${tag}`)
  t.match(
    lab.gateway.log().findLast(({ event }) => event === 'verdict'),
    { outcome: 'refused', reason },
  )
  // containerd 1.6 asks by HEAD and so sees the status alone
  t.match(ran.stdout + ran.stderr, engine.name === 'containerd' ? /403 Forbidden/ : /has no signed tag|denied/i)
}

function imageWith(text: string) {
  return buildImage({ layers: [{ 'etc/motd': text }] })
}

async function release({ town, owner }: Lab, tag: string, text: string): Promise<string> {
  const { digest } = await town.push(tag, imageWith(`${tag} ${text}`))
  const { code, stderr } = await owner.run(['sign', `${town.repository}:${tag}`])
  if (code !== 0) throw new Error(stderr)
  await delay(MAX_AGE)
  return digest
}

function repositoryOf({ gateway }: Lab): string {
  return `${gateway.host}/team/app`
}

function imageOf(lab: Lab, tag: string): string {
  return `${repositoryOf(lab)}:${tag}`
}

async function openLab(t: Test): Promise<Lab> {
  const town = await openTown()
  t.teardown(town.close)
  const upstream = await startProxy(town.registry.url)
  t.teardown(upstream.close)
  const owner = await town.person()
  const made = await owner.run(['init', town.repository, '--no-passphrase'])
  const key = pinFrom(made)[pinFrom(made).indexOf('--key') + 1] ?? ''
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-gateway-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const policy = `version: 1
defaultRegistry: ${town.registry.host}
rules:
  - pattern: ${town.registry.host}/**
    pin: { keys: [${key}] }
    server: ${town.server.url}
    maxAge: ${MAX_AGE / 1000}s
    upstream: { registry: "${upstream.host}", plainHttp: true }
`
  const settings = { folder, policy }
  const gateway = await startGateway(settings)
  t.teardown(() => gateway.stop())
  return { town, owner, gateway, settings, upstream }
}

await t.test('stock engines through the gateway', { skip }, async (t) => {
  const lab = await openLab(t)
  for (const [name, open] of Object.entries(STOCK_ENGINES)) {
    const engine = await open()
    await t.test(name, { skip: typeof engine === 'string' && engine }, async (t) => {
      if (typeof engine === 'string') return
      t.teardown(engine.stop)
      for (const [sentence, journey] of Object.entries(JOURNEYS)) {
        await t.test(sentence, async (t) => await journey(t, lab, engine, `${name}-${sentence.length}`))
      }
    })
  }
})

await t.test('containerd pulls the canary of doctor where a hosts.toml leaves a way around', { skip }, async (t) => {
  const lab = await openLab(t)
  const containerd = await STOCK_ENGINES['containerd']?.()
  if (containerd === undefined || typeof containerd === 'string') return void t.pass('containerd is not here')
  t.teardown(containerd.stop)
  const root = await writtenFor('containerd', lab.gateway.host)
  t.teardown(() => rm(root, { recursive: true }))
  await lab.town.push('none', imageWith('unsigned'))
  const canary = ['--canary', `${lab.town.registry.host}/team/app:none`, '--try', 'containerd']
  const doctor = async () =>
    await runInside(['doctor', '--root', root, '--gateway', lab.gateway.url, ...canary], { env: containerd.env ?? {} })
  t.match(await doctor(), { exit: 0, stdout: /canary: containerd: refused: / })
  const file = join(root, 'etc/containerd/certs.d/_default/hosts.toml')
  await writeFile(file, `server = "${lab.gateway.url}"\n`) // containerd 1 passes over it
  const alone = await doctor()
  t.match(alone, { exit: 1, stdout: /SERVER_ALONE/ })
  t.comment(/canary: containerd: .*/.exec(alone.stdout)?.[0] ?? '')
  await writeFile(file, `[host."${lab.gateway.url}"]\ncapabilities = ["pull", "resolve"]\n`)
  const last = await doctor()
  t.match(last, { exit: 1, stdout: /REGISTRY_TRIED_LAST/ })
  t.match(last.stdout, /canary: containerd: admitted: /, 'and every containerd falls back to the registry here')
})

await t.test('podman pulls the canary of doctor where a mirror leaves a way around', { skip }, async (t) => {
  const lab = await openLab(t)
  const podman = await STOCK_ENGINES['podman']?.()
  if (podman === undefined || typeof podman === 'string') return void t.pass('podman is not here')
  t.teardown(podman.stop)
  const { host } = lab.town.registry
  const root = await writtenFor('podman', lab.gateway.host, ['--registry', host])
  t.teardown(() => rm(root, { recursive: true }))
  await lab.town.push('none', imageWith('unsigned'))
  const file = join(root, 'etc/containers/registries.conf.d/999-tagseal.conf')
  const own = join(podman.env?.['HOME'] ?? '', '.config', 'containers')
  await mkdir(own, { recursive: true })
  await copyFile(join(root, 'etc/containers/policy.json'), join(own, 'policy.json'))
  const args = ['--gateway', lab.gateway.url, '--canary', `${host}/team/app:none`, '--try', 'podman']
  const env = { ...podman.env, CONTAINERS_REGISTRIES_CONF: file }
  const doctor = async () => await runInside(['doctor', '--root', root, ...args], { env })
  t.match(await doctor(), { exit: 0, stdout: /canary: podman: refused: / })
  const mirror = `[[registry.mirror]]\nlocation = "${lab.gateway.host}"\ninsecure = true\n`
  await writeFile(file, `[[registry]]\nprefix = "${host}"\nlocation = "${host}"\ninsecure = true\n${mirror}`)
  const open = await doctor()
  t.match(open, { exit: 1, stdout: /MIRRORS_FALL_BACK/ })
  t.match(open.stdout, /canary: podman: admitted: /)
  t.equal(await podman.has(`${host}/team/app`), '', 'and what it pulled is removed again')
})

await t.test('docker that reaches the gateway and nobody else, by what doctor writes', { skip }, async (t) => {
  const lab = await openLab(t)
  const root = await writtenFor('docker', lab.gateway.host)
  t.teardown(() => rm(root, { recursive: true }))
  const dropIn = await readFile(join(root, 'etc/systemd/system/docker.service.d/zz-tagseal.conf'), 'utf8')
  const env: Record<string, string> = {}
  for (const [, name = '', value = ''] of dropIn.matchAll(/"([A-Z_]+)=([^"]*)"/g)) env[name] = value
  const config = await readFile(join(root, 'etc/docker/daemon.json'), 'utf8')
  const docker = await tryDocker({ config, env })
  if (typeof docker === 'string') return void t.pass(docker)
  t.teardown(docker.stop)
  await release(lab, 'signed', 'signed')
  t.equal((await docker.run('pull', imageOf(lab, 'signed'))).code, 0)
  const asked = lab.gateway.log().length
  const hub = await docker.run('pull', 'team/app:none')
  t.not(hub.code, 0)
  t.match(hub.stderr, /127\.0\.0\.1:9: connect: connection refused/, 'Docker Hub cannot be asked')
  t.ok(lab.gateway.log().length > asked, 'and the gateway was')
  t.match((await docker.run('pull', 'registry.example.org/team/app:none')).stderr, /127\.0\.0\.1:9: connect/)
  const canary = [
    'doctor',
    '--root',
    root,
    '--gateway',
    lab.gateway.url,
    '--try',
    'docker',
    '--canary',
    'team/app:none',
  ]
  const doctor = await runInside(canary, { env: docker.env })
  t.match(doctor, { exit: 0, stdout: /canary: docker: refused/ }, doctor.stdout + doctor.stderr)
})

await t.test('a trust server that stood still past its timestamp', { skip }, async (t) => {
  const lab = await openLab(t)
  const skopeo = await STOCK_ENGINES['skopeo']?.()
  if (skopeo === undefined || typeof skopeo === 'string') return void t.pass('skopeo is not here')
  t.teardown(skopeo.stop)
  const digest = await release(lab, 'frozen', 'signed')
  t.equal((await skopeo.pull(imageOf(lab, 'frozen'))).code, 0)
  await lab.town.server.stop()
  await lab.gateway.stop()
  const later = await startGateway({ ...lab.settings, through: ['faketime', '-f', '+2d'] })
  t.teardown(() => later.stop())
  const ran = await skopeo.pull(`${later.host}/team/app:frozen`)
  t.not(ran.code, 0)
  t.notMatch(ran.stdout + ran.stderr, digest)
  t.match(later.log().at(-1), { outcome: 'refused' })
})
