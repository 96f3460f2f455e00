import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findDockerClients } from './docker-client.ts'
import { tryDockerd } from './dockerd.ts'
import type { DockerdOptions } from './dockerd.ts'
import { runProgram } from './program.ts'
import type { Ran } from './program.ts'

/** A real docker or podman with an image store of its own. */
export type TestEngine = {
  readonly name: 'docker' | 'podman'
  /** What `tagseal`, and the engine's own command line, need to reach it and nothing else. */
  readonly env: Readonly<Record<string, string>>
  readonly run: (...args: string[]) => Promise<Ran>
  /** Removes every container and image. */
  readonly empty: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** the docker client that a user would get, before a daemon of our own; or why there is none. */
export async function tryDocker(options: DockerdOptions = {}): Promise<TestEngine | string> {
  const [client] = await findDockerClients()
  if (client === undefined) return 'SKIPPED: docker is not installed (apt-get install docker.io)'
  const daemon = await tryDockerd(options)
  if (typeof daemon === 'string') return daemon
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-docker-'))
  await symlink(client.program, join(folder, 'docker'))
  const env = { PATH: path(folder), DOCKER_HOST: daemon.host, DOCKER_CONFIG: join(folder, 'config') }
  return {
    name: 'docker',
    env,
    run: (...args) => runProgram('docker', args, { env }),
    empty: daemon.empty,
    async stop() {
      await daemon.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** podman with its whole store and state in a folder of ours; or why that cannot be. */
export async function tryPodman(program = 'podman'): Promise<TestEngine | string> {
  const { code } = await runProgram(program, ['--version'])
  if (code !== 0) return 'SKIPPED: podman is not installed (apt-get install podman)'
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-podman-'))
  const env = { PATH: path(), HOME: folder, ...(await storageIn(folder)) }
  const run = (...args: string[]) => runProgram(program, args, { env })
  const stop = async () => {
    await run('system', 'reset', '--force')
    await rm(folder, { recursive: true, force: true })
  }
  const info = await run('info')
  if (info.code === 0) return { name: 'podman', env, run, empty: () => emptyPodman(run), stop }
  await stop()
  return `SKIPPED: podman does not work here: ${info.stderr.trim().split('\n').at(-1)}`
}

async function emptyPodman(run: (...args: string[]) => Promise<Ran>): Promise<void> {
  await run('rm', '--all', '--force')
  await run('image', 'rm', '--all', '--force')
}

/**
 * Every podman and buildah of one user keeps its state and its locks in one place, unless it is told: whoever resets one takes away what
 * another is about to write, and the locks of its containers.
 */
export async function storageIn(folder: string): Promise<Readonly<Record<string, string>>> {
  const [graph, runtime] = [join(folder, 'graph'), join(folder, 'run')]
  const files = {
    'storage.conf': `[storage]\ndriver = "vfs"\ngraphroot = "${graph}"\nrunroot = "${join(runtime, 'root')}"\n`,
    'containers.conf': `[engine]\ntmp_dir = "${join(runtime, 'libpod')}"\nlock_type = "file"\n`,
  }
  await mkdir(runtime, { mode: 0o700 })
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return {
    CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
    CONTAINERS_CONF: join(folder, 'containers.conf'),
    XDG_RUNTIME_DIR: runtime,
    TMPDIR: runtime,
  }
}

/** Daemons and runtimes stand in folders that a user's path may lack. */
function path(first?: string): string {
  const usual = [process.env['PATH'] ?? '', '/usr/sbin', '/sbin']
  return (first === undefined ? usual : [first, ...usual]).join(':')
}
