/** containerd with its whole state in a folder of ours, asked with `ctr`: the one of this machine, and a newer one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runProgram } from './program.ts'
import type { Ran } from './program.ts'
import { writtenFor } from './stock-engine.ts'
import type { Route, StockEngine } from './stock-engine.ts'

/** Where `npm run debian` leaves the containerd of the next Debian. */
export const NEXT = fileURLToPath(new URL('../../.cache/debian-next/root/usr/bin', import.meta.url))
/** Its transfer service knows no other snapshotter than the usual one, which a container that runs tests may not have. */
const UNPACKED = `[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux"
snapshotter = "native"
`
const SECONDS_TO_START = 20
const SECONDS_TO_WRITE = 10

/** `ctr` as somebody uses it who follows no configuration of ours. */
export type Containerd = StockEngine & { readonly ctr: (...words: string[]) => Promise<Ran> }
type ContainerdOptions = {
  /** Where its programs are, instead of wherever the machine has them. */
  readonly programs?: string
  /** More of its configuration. */
  readonly config?: string
  /** What its own process, and whatever it starts, is given. */
  readonly env?: Readonly<Record<string, string>>
}

export async function tryContainerd(route: Route): Promise<Containerd | string> {
  return await openContainerd(route)
}

/** The one that `npm run debian` unpacked, 2.1 or newer; or why it is not here. */
export async function tryContainerdTwo(
  route: Route,
  options: Omit<ContainerdOptions, 'programs'> = {},
): Promise<Containerd | string> {
  const { code } = await runProgram(join(NEXT, 'containerd'), ['--version'])
  if (code !== 0) return 'SKIPPED: no containerd 2 that runs here was unpacked (npm run debian)'
  return await openContainerd(route, { ...options, programs: NEXT, config: `${UNPACKED}${options.config ?? ''}` })
}

async function openContainerd(
  { registry, gateway }: Route,
  { programs, config = '', env = {} }: ContainerdOptions = {},
): Promise<Containerd | string> {
  const usual = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`
  const path = programs === undefined ? usual : `${programs}:${usual}`
  const run = (program: string, ...words: string[]) =>
    runProgram(programs === undefined ? program : join(programs, program), words, {
      env: { ...process.env, PATH: path },
    })
  const found = await Promise.all([run('containerd', '--version'), run('ctr', '--version')])
  if (found.some(({ code }) => code !== 0)) return 'SKIPPED: containerd is not installed (apt-get install containerd)'
  if (process.getuid?.() !== 0) return 'SKIPPED: containerd runs as root only'
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-containerd-'))
  const socket = join(folder, 'sock')
  await mkdir(join(folder, 'root'), { recursive: true })
  await writeFile(join(folder, 'config.toml'), `${configIn(folder, socket)}${config}`)
  const args = ['--pdeathsig', 'TERM', 'containerd', '--config', join(folder, 'config.toml')]
  const child = spawn('setpriv', args, { stdio: 'ignore', env: { PATH: path, HOME: folder, ...env } })
  const ctr = (...words: string[]) => run('ctr', '--address', socket, ...words)
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
    ctr,
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

/** containerd 2 reads the names of version 2 as well, so that one text does for both. */
function configIn(folder: string, socket: string): string {
  return `version = 2
root = "${join(folder, 'root')}"
state = "${join(folder, 'state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
`
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
