import { type ChildProcess, spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { tryDocker, tryPodman } from './engines.ts'
import { runInside } from './run-inside.ts'
import { runProgram } from './program.ts'
import type { Ran } from './program.ts'

/** An engine as its maker ships it, which knows nothing of us but the address of a gateway. */
export type StockEngine = {
  readonly name: string
  /** Pulls `gateway/team/app:tag`. */
  readonly pull: (image: string) => Promise<Ran>
  /** Pulls an image by the name of its registry, by what `tagseal doctor` wrote; where the engine has such a thing. */
  readonly pullConfigured?: (registry: string, gateway: string, image: string) => Promise<Ran>
  /** What the command line of the engine needs to reach this one. */
  readonly env?: Readonly<Record<string, string>>
  /** What of `gateway/team/app` it has now: digests and tags in its own words; empty where it has nothing. */
  readonly has: (repository: string) => Promise<string>
  readonly stop: () => Promise<void>
}

/** Each of them, or why it is not here: tests pass the reason to `skip`. */
export const STOCK_ENGINES: Readonly<Record<string, () => Promise<StockEngine | string>>> = {
  skopeo: trySkopeo,
  podman: tryStockPodman,
  docker: tryStockDocker,
  containerd: tryContainerd,
}

async function trySkopeo(): Promise<StockEngine | string> {
  const { code } = await runProgram('skopeo', ['--version'])
  if (code !== 0) return 'SKIPPED: skopeo is not installed (apt-get install skopeo)'
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-skopeo-'))
  let copies = 0
  return {
    name: 'skopeo',
    async pull(image) {
      copies += 1
      const [, tag = ''] = /:([^:/]+)$/.exec(image) ?? []
      const to = `oci:${join(folder, String(copies))}:${tag}`
      return await runProgram('skopeo', [
        '--insecure-policy',
        'copy',
        '--src-tls-verify=false',
        `docker://${image}`,
        to,
      ])
    },
    has: async () => await readIndex(join(folder, String(copies), 'index.json')),
    stop: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The folder below which `tagseal doctor` wrote the configuration of an engine. */
export async function writtenFor(engine: string, gateway: string, more: readonly string[] = []): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'tagseal-written-'))
  const args = ['doctor', '--write', engine, '--root', root, '--gateway', `http://${gateway}`, '--yes', ...more]
  const { exit, stderr } = await runInside(args)
  if (exit !== 0) throw new Error(stderr)
  return root
}

async function readIndex(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return ''
  }
}

async function tryStockPodman(): Promise<StockEngine | string> {
  const engine = await tryPodman()
  if (typeof engine === 'string') return engine
  return {
    name: 'podman',
    env: engine.env,
    pull: (image) => engine.run('pull', '--tls-verify=false', image),
    async pullConfigured(registry, gateway, image) {
      const root = await writtenFor('podman', gateway, ['--registry', registry])
      const own = join(engine.env['HOME'] ?? '', '.config', 'containers')
      await mkdir(own, { recursive: true })
      await copyFile(join(root, 'etc/containers/policy.json'), join(own, 'policy.json'))
      const registries = join(root, 'etc/containers/registries.conf.d/999-tagseal.conf')
      const ran = await runProgram('podman', ['pull', image], {
        env: { ...engine.env, CONTAINERS_REGISTRIES_CONF: registries },
      })
      await Promise.all([rm(root, { recursive: true }), rm(own, { recursive: true })])
      return ran
    },
    has: async (repository) =>
      (await engine.run('images', '--digests', '--format', '{{.Digest}} {{.Repository}}:{{.Tag}}', repository)).stdout,
    stop: engine.stop,
  }
}

async function tryStockDocker(): Promise<StockEngine | string> {
  const engine = await tryDocker()
  if (typeof engine === 'string') return engine
  return {
    name: 'docker',
    pull: (image) => engine.run('pull', image),
    has: async (repository) =>
      (await engine.run('images', '--digests', '--format', '{{.Digest}} {{.Repository}}:{{.Tag}}', repository)).stdout,
    stop: engine.stop,
  }
}

const SECONDS_TO_START = 20

/** containerd with its whole state in a folder of ours, asked with `ctr`. */
async function tryContainerd(): Promise<StockEngine | string> {
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
  const child = spawn('setpriv', args, { stdio: 'ignore', env: { PATH: process.env['PATH'], HOME: folder } })
  const ctr = (...words: string[]) => runProgram('ctr', ['--address', socket, ...words])
  const stop = async () => {
    await end(child)
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  if (!(await answers(child, ctr))) {
    await stop()
    return 'SKIPPED: containerd does not start here'
  }
  return {
    name: 'containerd',
    pull: (image) => ctr('images', 'pull', '--plain-http', '--snapshotter', 'native', image),
    async pullConfigured(_registry, gateway, image) {
      const root = await writtenFor('containerd', gateway)
      const hosts = join(root, 'etc/containerd/certs.d')
      const ran = await ctr('images', 'pull', '--hosts-dir', hosts, '--snapshotter', 'native', image)
      await rm(root, { recursive: true })
      return ran
    },
    env: { PATH: process.env['PATH'] ?? '', CONTAINERD_ADDRESS: socket, CONTAINERD_SNAPSHOTTER: 'native' },
    has: async (repository) =>
      (await ctr('images', 'list', `name~="${repository}"`)).stdout.split('\n').slice(1).join('\n').trim(),
    stop,
  }
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
