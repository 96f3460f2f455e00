import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { runProgram } from './program.ts'

/** A docker daemon of our own: its images, its socket and everything it starts live and end with it. */
export type TestDockerd = {
  /** What `DOCKER_HOST` must be. */
  readonly host: string
  /** Removes every container and image, as if it had just been started. */
  readonly empty: () => Promise<void>
  /** Ends the daemon, what it started, and its folder. */
  readonly stop: () => Promise<void>
}

const SECONDS_TO_START = 30
const SECONDS_TO_END = 10

export type DockerdOptions = {
  /** What `daemon.json` says. */
  readonly config?: string
  readonly env?: Readonly<Record<string, string>>
}

/** A running daemon, or why there cannot be one here: tests pass the reason to `skip`. */
export async function tryDockerd(options: DockerdOptions = {}): Promise<TestDockerd | string> {
  for (const program of ['dockerd', 'setpriv']) {
    const { code } = await runProgram(program, ['--version'])
    if (code !== 0) return `SKIPPED: ${program} is not installed (apt-get install docker.io)`
  }
  if (process.getuid?.() !== 0) return 'SKIPPED: dockerd runs as root only'
  return await startDockerd(options)
}

async function startDockerd({ config = '{}', env = {} }: DockerdOptions): Promise<TestDockerd | string> {
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-dockerd-'))
  const host = `unix://${join(folder, 'socket')}`
  await writeFile(join(folder, 'daemon.json'), config) // the machine's own is not ours
  const args = [
    ['--data-root', join(folder, 'data')],
    ['--exec-root', join(folder, 'exec')],
    ['--pidfile', join(folder, 'pid')],
    ['--config-file', join(folder, 'daemon.json')],
    ['--host', host],
    ['--bridge', 'none'],
    ['--storage-driver', 'vfs'],
    ['--shutdown-timeout', '1'],
  ].flat()
  // It gets SIGTERM when this process dies, however it dies; its own containerd dies with it likewise.
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', 'dockerd', ...args, '--iptables=false', '--ip6tables=false'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: folder, ...env },
  })
  const log: string[] = []
  child.stderr.on('data', (part: Buffer) => log.push(part.toString('utf8')))
  const stop = () => stopDockerd(child, folder)
  if (await answers(child, host)) return { host, empty: () => empty(host), stop }
  await stop()
  return `SKIPPED: dockerd does not start here: ${log.join('').trim().split('\n').at(-1)}`
}

function dockerEnvironment(host: string): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: '/nonexistent', DOCKER_HOST: host }
}

async function answers(child: ChildProcess, host: string): Promise<boolean> {
  for (let tries = 0; tries < SECONDS_TO_START * 10 && child.exitCode === null; tries++) {
    const { code } = await runProgram('docker', ['version'], { env: dockerEnvironment(host) })
    if (code === 0) return true
    await pause(100)
  }
  return false
}

async function empty(host: string): Promise<void> {
  const list = async (...args: string[]) => {
    const { stdout } = await runProgram('docker', [...args], { env: dockerEnvironment(host) })
    return [...new Set(stdout.split('\n'))].filter((id) => id !== '')
  }
  const [containers, images] = [await list('ps', '-aq'), await list('image', 'ls', '-aq')]
  if (containers.length > 0) await list('rm', '-f', ...containers)
  if (images.length > 0) await list('image', 'rm', '-f', ...images)
}

async function stopDockerd(child: ChildProcess, folder: string): Promise<void> {
  await end(child)
  for (const pid of processesNaming(folder)) kill(pid)
  for (const mount of mountsUnder(folder)) await runProgram('umount', ['--lazy', mount])
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const patience = setTimeout(() => child.kill('SIGKILL'), SECONDS_TO_END * 1000)
  await ended
  clearTimeout(patience)
}

/** containerd and its shims outlive a daemon that was killed; their command lines have our folder, and no others do. */
function processesNaming(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && textOf(`/proc/${name}/cmdline`).includes(folder))
    .map(Number)
}

function mountsUnder(folder: string): readonly string[] {
  const mounts = textOf('/proc/self/mountinfo').split('\n')
  return mounts.map((line) => line.split(' ')[4] ?? '').filter((point) => point.startsWith(`${folder}/`))
}

/** A process may end while we look at it. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it ended by itself
  }
}
