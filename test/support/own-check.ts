import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tryPodman } from './engines.ts'
import { runProgram } from './program.ts'
import type { Ran } from './program.ts'

/** An engine that looks for signatures itself, by files of its own. */
export type OwnCheck = {
  readonly name: string
  readonly pull: (image: string) => Promise<Ran>
  /** What was pulled last under a name, as its digest; empty where nothing was. */
  readonly has: (image: string) => Promise<string>
  /** Runs an image, which is pulled where it is not here; for engines that are known to run any. */
  readonly start?: (image: string, ...command: string[]) => Promise<Ran>
  readonly stop: () => Promise<void>
}

/** The files of an administrator: `policy.json`, `registries.conf`, `registries.d/`. */
type Folder = string

/** Where `npm run debian` leaves those of Debian 13. */
export const UNPACKED = fileURLToPath(new URL('../../.cache/debian-13', import.meta.url))
/** How a container asks nothing of the machine. */
const ALONE = ['--rm', '--network', 'none', '--cgroups', 'disabled']

/** Each of them, or why it is not here: tests pass the reason to `skip`. */
export const OWN_CHECKS: Readonly<Record<string, (folder: Folder) => Promise<OwnCheck | string>>> = {
  skopeo: trySkopeo,
  podman: tryOwnPodman,
}

/** Debian 12 takes the check out of what it builds: whatever is to be signed is refused then. */
export async function checksNothing(program: string): Promise<boolean> {
  return (await readFile(program)).includes('Debian-local change: sigstore disabled')
}

export async function pathOf(program: string): Promise<string | undefined> {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  for (const path of folders.map((folder) => join(folder, program))) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return undefined
}

async function trySkopeo(folder: Folder): Promise<OwnCheck | string> {
  const found = await findChecking('skopeo')
  return found === undefined ? whyNone('skopeo') : await openSkopeo(found, folder)
}

/** skopeo by the files of a folder, whatever it was built with. */
export async function openSkopeo(program: string, folder: Folder): Promise<OwnCheck> {
  const own = await mkdtemp(join(tmpdir(), 'tagseal-skopeo-'))
  const place = (image: string) => join(own, image.replaceAll(/[^A-Za-z0-9.]/g, '-'))
  const files = ['--policy', 'policy.json', '--registries.d', 'registries.d', '--registries-conf', 'registries.conf']
  const given = files.map((word) => (word.startsWith('--') ? word : join(folder, word)))
  return {
    name: 'skopeo',
    async pull(image) {
      await rm(place(image), { recursive: true, force: true })
      return await runProgram(program, [...given, 'copy', `docker://${image}`, `dir:${place(image)}`])
    },
    async has(image) {
      const { code, stdout } = await runProgram(program, ['manifest-digest', join(place(image), 'manifest.json')])
      return code === 0 ? stdout.trim() : ''
    },
    stop: () => rm(own, { recursive: true, force: true }),
  }
}

/** One that does check, by its path. */
export async function findChecking(program: 'skopeo' | 'podman'): Promise<string | undefined> {
  const unpacked = join(UNPACKED, program)
  if ((await runProgram(unpacked, ['--version'])).code === 0) return unpacked
  const own = await pathOf(program)
  return own === undefined || (await checksNothing(own)) ? undefined : own
}

function whyNone(program: string): string {
  return `SKIPPED: no ${program} that works here checks signatures of sigstore (npm run debian, as root, unpacks one)`
}

async function tryOwnPodman(folder: Folder): Promise<OwnCheck | string> {
  const found = await findChecking('podman')
  if (found === undefined) return whyNone('podman')
  const engine = await tryPodman(found)
  if (typeof engine === 'string') return engine
  const own = join(engine.env['HOME'] ?? '', '.config', 'containers')
  await mkdir(join(own, 'registries.d'), { recursive: true })
  const env = { ...engine.env, CONTAINERS_REGISTRIES_CONF: join(folder, 'registries.conf') }
  const run = async (...args: string[]) => {
    for (const file of ['policy.json', 'registries.d/tagseal.yaml'])
      await writeFile(join(own, file), await readFile(join(folder, file)))
    return await runProgram(found, args, { env })
  }
  return {
    name: 'podman',
    async pull(image) {
      await engine.run('image', 'rm', '--force', image)
      return await run('pull', image)
    },
    has: async (image) => (await engine.run('image', 'inspect', '--format', '{{.Digest}}', image)).stdout.trim(),
    ...(found.startsWith(UNPACKED) && { start: (image, ...command) => run('run', ...ALONE, image, ...command) }),
    stop: engine.stop,
  }
}
