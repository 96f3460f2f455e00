/** Engines as their makers ship them, which know nothing of us but what `tagseal doctor` wrote. */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storageIn, tryDocker, tryPodman } from './engines.ts'
import { tryContainerd, tryContainerdTwo } from './containerd.ts'
import { runProgram } from './program.ts'
import { writtenFor } from './stock-engine.ts'
import type { Route, StockEngine } from './stock-engine.ts'

/** Each of them, or why it is not here: tests pass the reason to `skip`. */
export const STOCK_ENGINES = {
  skopeo: trySkopeo,
  podman: tryStockPodman,
  buildah: tryBuildah,
  docker: tryStockDocker,
  containerd: tryContainerd,
  'containerd 2': tryContainerdTwo,
} as const satisfies Readonly<Record<string, (route: Route) => Promise<StockEngine | string>>>

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

/** It builds upon what it pulls, and decides by the files of podman. */
async function tryBuildah({ registry, gateway }: Route): Promise<StockEngine | string> {
  const { code } = await runProgram('buildah', ['--version'])
  if (code !== 0) return 'SKIPPED: buildah is not installed (apt-get install buildah)'
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-buildah-'))
  const root = await writtenFor('podman', gateway, ['--registry', registry])
  await intoHome(root, folder)
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, HOME: folder, ...(await storageIn(folder)) }
  const run = (...args: string[]) => runProgram('buildah', args, { env })
  const stop = async () => {
    await Promise.all([folder, root].map((one) => rm(one, { recursive: true, force: true })))
  }
  const images = () => run('images', '--all', '--digests', '--format', '{{.Digest}} {{.Name}}:{{.Tag}}')
  const found = await images()
  if (found.code !== 0) {
    await stop()
    return `SKIPPED: buildah does not work here: ${found.stderr.trim().split('\n').at(-1)}`
  }
  return {
    name: 'buildah',
    saidOfLayers: ONLY_A_STATUS,
    root,
    env,
    imageOf: (what) => `${registry}/team/app${what}`,
    pull: (image) => run('pull', image),
    start: undefined,
    store: async () => (await images()).stdout,
    remove: (image) => run('rmi', image),
    stop,
  }
}

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
