/** Engines as their makers ship them, which know nothing of us but what `tagseal doctor` wrote. */
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { tryDocker, tryPodman } from './engines.ts'
import { runInside } from './run-inside.ts'
import { runProgram } from './program.ts'
import type { Ran } from './program.ts'

/** From the registry that stands in names to the gateway that is asked, as `127.0.0.1:5000`. */
export type Route = { readonly registry: string; readonly gateway: string }

export type StockEngine = {
  readonly name: string
  /** How this engine calls an image of `team/app`: `:tag` or `@digest` is what follows. */
  readonly imageOf: (what: string) => string
  /** `apart`: as somebody else, where the engine knows several who share nothing. */
  readonly pull: (image: string, apart?: string) => Promise<Ran>
  /** Runs an image that was pulled; undefined: this engine runs nothing. */
  readonly start: ((image: string) => Promise<Ran>) | undefined
  /** Every image in its store in its own words, and all content by digest where it can say; the same as long as nothing comes. */
  readonly store: () => Promise<string>
  /** Takes an image out of it. */
  readonly remove: (image: string) => Promise<Ran>
  /** All that it tells of a layer that is refused, where it shows nobody else's words. */
  readonly saidOfLayers: RegExp | undefined
  /** What its command line needs to reach this one. */
  readonly env: Readonly<Record<string, string>>
  /** Below it is what doctor wrote. */
  readonly root: string
  readonly stop: () => Promise<void>
}

/** Each of them, or why it is not here: tests pass the reason to `skip`. */
export const STOCK_ENGINES = {
  skopeo: trySkopeo,
  podman: tryStockPodman,
  docker: tryStockDocker,
  containerd: tryContainerd,
} as const satisfies Readonly<Record<string, (route: Route) => Promise<StockEngine | string>>>

/** The folder below which `tagseal doctor` wrote the configuration of an engine. */
export async function writtenFor(engine: string, gateway: string, more: readonly string[] = []): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'tagseal-written-'))
  const args = ['doctor', '--write', engine, '--root', root, '--gateway', `http://${gateway}`, '--yes', ...more]
  const { exit, stderr } = await runInside(args)
  if (exit !== 0) throw new Error(stderr)
  return root
}

/** What doctor wrote for podman, where the libraries of podman and skopeo look first. */
async function intoHome(root: string, home: string): Promise<void> {
  const own = join(home, '.config', 'containers')
  await mkdir(own, { recursive: true })
  const written = join(root, 'etc/containers')
  await copyFile(join(written, 'policy.json'), join(own, 'policy.json'))
  await copyFile(join(written, 'registries.conf.d/999-tagseal.conf'), join(own, 'registries.conf'))
}

async function trySkopeo({ registry, gateway }: Route): Promise<StockEngine | string> {
  const { code } = await runProgram('skopeo', ['--version'])
  if (code !== 0) return 'SKIPPED: skopeo is not installed (apt-get install skopeo)'
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-skopeo-'))
  const root = await writtenFor('podman', gateway, ['--registry', registry])
  await intoHome(root, folder)
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder }
  const layouts = join(folder, 'layouts')
  await mkdir(layouts)
  let copies = 0
  return {
    name: 'skopeo',
    saidOfLayers: ONLY_A_STATUS,
    root,
    env,
    imageOf: (what) => `${registry}/team/app${what}`,
    async pull(image) {
      copies += 1
      const to = `oci:${join(layouts, String(copies))}:pulled`
      return await runProgram('skopeo', ['copy', `docker://${image}`, to], { env })
    },
    start: undefined,
    async store() {
      const files = await readdir(layouts, { recursive: true })
      const indexes = files.filter((file) => file.endsWith('index.json')).map((file) => join(layouts, file))
      const texts = await Promise.all(indexes.map((file) => readFile(file, 'utf8')))
      return [...texts, ...files.map((file) => file.replace('sha256/', 'sha256:'))]
        .filter(isContent)
        .toSorted()
        .join('\n')
    },
    async remove() {
      await rm(layouts, { recursive: true })
      await mkdir(layouts)
      return { code: 0, stdout: '', stderr: '' }
    },
    async stop() {
      await Promise.all([folder, root].map((one) => rm(one, { recursive: true, force: true })))
    },
  }
}

const ONLY_A_STATUS = /fetching blob: invalid status code from registry 403 \(Forbidden\)/i

/** A layout that was begun has folders, and one of a copy that failed has no index. */
function isContent(line: string): boolean {
  return line.includes('sha256:')
}

async function tryStockPodman({ registry, gateway }: Route): Promise<StockEngine | string> {
  const engine = await tryPodman()
  if (typeof engine === 'string') return engine
  const root = await writtenFor('podman', gateway, ['--registry', registry])
  await intoHome(root, engine.env['HOME'] ?? '')
  return {
    name: 'podman',
    saidOfLayers: ONLY_A_STATUS,
    root,
    env: engine.env,
    imageOf: (what) => `${registry}/team/app${what}`,
    pull: (image) => engine.run('pull', image),
    start: (image) => engine.run('run', '--rm', '--network', 'none', '--pull', 'never', ...LOW_LIMITS, image),
    store: async () =>
      (await engine.run('images', '--all', '--digests', '--format', '{{.Digest}} {{.Repository}}:{{.Tag}}')).stdout,
    remove: (image) => engine.run('image', 'rm', image),
    async stop() {
      await engine.stop()
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** podman raises them to what a container that runs these tests may not have. */
const LOW_LIMITS = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']

async function tryStockDocker({ gateway }: Route): Promise<StockEngine | string> {
  const root = await writtenFor('docker', gateway)
  const dropIn = await readFile(join(root, 'etc/systemd/system/docker.service.d/zz-tagseal.conf'), 'utf8')
  const env: Record<string, string> = {}
  for (const [, name = '', value = ''] of dropIn.matchAll(/"([A-Z_]+)=([^"]*)"/g)) env[name] = value
  const engine = await tryDocker({ config: await readFile(join(root, 'etc/docker/daemon.json'), 'utf8'), env })
  const stop = async () => await rm(root, { recursive: true, force: true })
  if (typeof engine === 'string') {
    await stop()
    return engine
  }
  return {
    name: 'docker',
    saidOfLayers: undefined,
    root,
    env: engine.env,
    imageOf: (what) => `${gateway}/team/app${what}`,
    pull: (image) => engine.run('pull', image),
    start: (image) => engine.run('run', '--rm', '--network', 'none', '--pull', 'never', image),
    store: async () =>
      (await engine.run('images', '--all', '--digests', '--format', '{{.Digest}} {{.Repository}}:{{.Tag}}')).stdout,
    remove: (image) => engine.run('image', 'rm', '--force', image),
    async stop() {
      await engine.stop()
      await stop()
    },
  }
}

const SECONDS_TO_START = 20
const SECONDS_TO_WRITE = 10

/** containerd with its whole state in a folder of ours, asked with `ctr`. */
async function tryContainerd({ registry, gateway }: Route): Promise<StockEngine | string> {
  const found = await Promise.all([runProgram('containerd', ['--version']), runProgram('ctr', ['--version'])])
  if (found.some(({ code }) => code !== 0)) return 'SKIPPED: containerd is not installed (apt-get install containerd)'
  if (process.getuid?.() !== 0) return 'SKIPPED: containerd runs as root only'
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-containerd-'))
  const socket = join(folder, 'sock')
  await mkdir(join(folder, 'root'), { recursive: true })
  const config = `version = 2
root = "${join(folder, 'root')}"
state = "${join(folder, 'state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
`
  await writeFile(join(folder, 'config.toml'), config)
  const args = ['--pdeathsig', 'TERM', 'containerd', '--config', join(folder, 'config.toml')]
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`
  const child = spawn('setpriv', args, { stdio: 'ignore', env: { PATH: path, HOME: folder } })
  const ctr = (...words: string[]) => runProgram('ctr', ['--address', socket, ...words])
  const root = await writtenFor('containerd', gateway)
  const stop = async () => {
    await end(child)
    await rm(root, { recursive: true, force: true })
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  if (!(await answers(child, ctr))) {
    await stop()
    return 'SKIPPED: containerd does not start here'
  }
  const hosts = join(root, 'etc/containerd/certs.d')
  let started = 0
  return {
    name: 'containerd',
    saidOfLayers: undefined,
    root,
    env: { PATH: path, CONTAINERD_ADDRESS: socket, CONTAINERD_SNAPSHOTTER: 'native' },
    imageOf: (what) => `${registry}/team/app${what}`,
    pull: (image, apart = 'default') =>
      ctr('--namespace', apart, 'images', 'pull', '--hosts-dir', hosts, '--snapshotter', 'native', image),
    async start(image) {
      const [id, said] = [`run-${++started}`, join(folder, `run-${started}.log`)]
      const ran = await ctr('run', '--rm', '--snapshotter', 'native', '--log-uri', `file://${said}`, image, id)
      return ran.code === 0 ? { ...ran, stdout: await comingIn(said) } : ran
    },
    store: async () => `${(await ctr('images', 'list')).stdout}\n${(await ctr('content', 'list', '--quiet')).stdout}`,
    remove: (image) => ctr('images', 'remove', '--sync', image),
    stop,
  }
}

/**
 * What a container wrote, by the shim and not by `ctr`: that gives up a pipe which it has not yet opened when the container
 * ends, and says 0 and nothing of what came through it. The shim may be late as well, and loses nothing.
 */
async function comingIn(file: string): Promise<string> {
  for (let tries = 0; tries < SECONDS_TO_WRITE * 10; tries++) {
    const text = await readFile(file, 'utf8')
    if (text !== '') return text
    await pause(100)
  }
  return ''
}

async function answers(child: ChildProcess, ctr: (...words: string[]) => Promise<Ran>): Promise<boolean> {
  for (let tries = 0; tries < SECONDS_TO_START * 10 && child.exitCode === null; tries++) {
    if ((await ctr('version')).code === 0) return true
    await pause(100)
  }
  return false
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}
