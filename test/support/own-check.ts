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
  readonly stop: () => Promise<void>
}

/** The files of an administrator: `policy.json`, `registries.conf`, `registries.d/`. */
type Folder = string

const UNPACKED = fileURLToPath(new URL('../../.cache/debian-13/skopeo', import.meta.url))
const MISSING = 'npm run debian unpacks one that does'

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
  const found = await findSkopeo()
  if (found === undefined) return `SKIPPED: no skopeo here checks signatures of sigstore (${MISSING})`
  return await openSkopeo(found, folder)
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
export async function findSkopeo(): Promise<string | undefined> {
  if ((await runProgram(UNPACKED, ['--version'])).code === 0) return UNPACKED
  const own = await pathOf('skopeo')
  return own === undefined || (await checksNothing(own)) ? undefined : own
}

async function tryOwnPodman(folder: Folder): Promise<OwnCheck | string> {
  const path = await pathOf('podman')
  if (path !== undefined && (await checksNothing(path)))
    return 'SKIPPED: this podman was built without the check of sigstore'
  const engine = await tryPodman()
  if (typeof engine === 'string') return engine
  const own = join(engine.env['HOME'] ?? '', '.config', 'containers')
  await mkdir(join(own, 'registries.d'), { recursive: true })
  const env = { ...engine.env, CONTAINERS_REGISTRIES_CONF: join(folder, 'registries.conf') }
  return {
    name: 'podman',
    async pull(image) {
      for (const file of ['policy.json', 'registries.d/tagseal.yaml'])
        await writeFile(join(own, file), await readFile(join(folder, file)))
      await engine.run('image', 'rm', '--force', image)
      return await runProgram('podman', ['pull', image], { env })
    },
    has: async (image) => (await engine.run('image', 'inspect', '--format', '{{.Digest}}', image)).stdout.trim(),
    stop: engine.stop,
  }
}
