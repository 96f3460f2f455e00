/** containerd: through the gateway by `certs.d`, or asked by an image verifier. One of the two has to be without a hole. */
import { dirname, join } from 'node:path/posix'
import type { Finding } from './finding.ts'
import type { Gateway } from './gateway.ts'
import { checkHostsFolder } from './hosts-file.ts'
import type { Machine } from './machine.ts'
import { at, Broken, isTrue, readToml, textAt, textsIn, whereOf } from './spot.ts'
import type { Spot } from './spot.ts'
import { readUnits } from './units.ts'

export const CONFIG = '/etc/containerd/config.toml'
export const CERTS = '/etc/containerd/certs.d'
export const VERIFIERS = '/opt/containerd/image-verifier/bin'
const PROGRAMS = ['/usr/bin/containerd', '/usr/local/bin/containerd', '/etc/containerd']
const VERIFIER_PLUGIN = 'io.containerd.image-verifier.v1.bindir'
/** What asks, and what has it ask. */
const ASKING: ReadonlySet<string> = new Set([VERIFIER_PLUGIN, 'io.containerd.transfer.v1.local'])
const MOST_VERIFIERS = 10
const MOST_IMPORTS = 64

type Told = Omit<Finding, 'engine'>
/** A configuration in parts, what is imported last: of two settings the later one counts. */
type Config = readonly Spot[]

export function checkContainerd(machine: Machine, gateway: Gateway): readonly Finding[] | undefined {
  if (!PROGRAMS.some(machine.has)) return undefined
  return check(machine, gateway).map((told) => ({ engine: 'containerd', ...told }))
}

function check(machine: Machine, gateway: Gateway): readonly Told[] {
  try {
    const config = readConfig(machine)
    const mirrors = checkMirrors(machine, gateway, config)
    const verifier = checkVerifier(machine, config)
    if (verifier !== undefined && verifier.length === 0) return mirrors.map(soften)
    return [...mirrors, ...(mirrors.length === 0 ? (verifier ?? []).map(soften) : (verifier ?? []))]
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    const mend = 'mend the file; containerd does not start with it, or starts with something else'
    return [{ level: 'unknown', code: 'CONFIG_BROKEN', where: whereOf(error), message: error.message, mend }]
  }
}

/** Where the other way is closed, no image gets in by this one. */
function soften(told: Told): Told {
  return told.level === 'hole' ? { ...told, level: 'warning' } : told
}

/** The one that its unit names, or the usual one. */
export function configFile(machine: Machine): string {
  return readUnits(machine, 'containerd.service').flags('config', 'c').at(-1)?.text ?? CONFIG
}

/** What an imported file imports comes after all that the file before named. */
export function readConfig(machine: Machine): Config {
  const parts: Spot[] = []
  const files = [configFile(machine)]
  for (const file of files) {
    const text = machine.text(file)
    if (text === undefined) continue
    const part = readToml(text, file)
    parts.push(part)
    const imported = textsIn(at(part, 'imports')).flatMap((one) => expand(machine, dirname(file), one.text))
    files.push(...imported.filter((one) => !files.includes(one)).slice(0, Math.max(MOST_IMPORTS - files.length, 0)))
  }
  return parts
}

/** A `*` in the last part of a path, as the default configuration has it. */
function expand(machine: Machine, beside: string, pattern: string): readonly string[] {
  const [, folder = '', name = ''] = /^(.*)\/([^/]*)$/.exec(join(pattern.startsWith('/') ? '/' : beside, pattern)) ?? []
  if (!name.includes('*')) return [`${folder}/${name}`]
  const [before = '', after = ''] = name.split('*')
  return machine
    .list(folder)
    .filter((one) => one.startsWith(before) && one.endsWith(after))
    .map((one) => `${folder}/${one}`)
}

/** The settings for Kubernetes, under the names that version 2 and version 3 of the file have for them. */
export function criParts(config: Config): readonly Spot[] {
  return config.flatMap((part) =>
    ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images'].flatMap((name) => at(part, 'plugins', name) ?? []),
  )
}

export function isCriOff(config: Config): boolean {
  const disabled = config.flatMap((part) => textsIn(at(part, 'disabled_plugins')).map(({ text }) => text))
  return ['cri', 'io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images'].some((name) => disabled.includes(name))
}

/** undefined where no folder is set. */
export function certsFolders(config: Config): readonly string[] | undefined {
  const set = criParts(config)
    .flatMap((part) => textAt(part, 'registry', 'config_path') ?? [])
    .at(-1)
  return set === undefined || set === '' ? undefined : set.split(':').filter((folder) => folder !== '')
}

function checkMirrors(machine: Machine, gateway: Gateway, config: Config): readonly Told[] {
  const found: Told[] = []
  for (const part of criParts(config)) {
    for (const [name, mirror] of at(part, 'registry', 'mirrors')?.members ?? []) {
      const message = `after the mirrors of ${name} the registry itself is asked`
      const mend = `take registry.mirrors out, and set config_path = "${CERTS}"`
      found.push({ level: 'hole', code: 'MIRRORS_FALL_BACK', where: whereOf(mirror), message, mend })
    }
  }
  const folders = certsFolders(config)
  if (folders === undefined && !isCriOff(config)) {
    const registry = criParts(config).flatMap((part) => at(part, 'registry') ?? part)[0] ??
      config[0] ?? { file: CONFIG, line: 1 }
    const message = 'no config_path is set: Kubernetes reads no hosts.toml, and registries are asked themselves'
    const mend = `config_path = "${CERTS}" under [plugins."io.containerd.grpc.v1.cri".registry]`
    found.push({ level: 'hole', code: 'NO_CONFIG_PATH', where: whereOf(registry), message, mend })
  }
  // Of several folders the first that has one for a registry counts: a hole in any of them is one.
  const checked = (folders ?? [CERTS]).map((folder) => checkHostsFolder(machine, gateway, folder))
  const hasDefault = checked.some((told) => told.every(({ code }) => code !== 'NO_DEFAULT_HOSTS'))
  return [...found, ...checked.flat().filter(({ code }) => !hasDefault || code !== 'NO_DEFAULT_HOSTS')]
}

/** undefined where nobody set up a verifier; otherwise what keeps containerd from asking it. */
function checkVerifier(machine: Machine, config: Config): readonly Told[] | undefined {
  const plugin = config.flatMap((part) => at(part, 'plugins', VERIFIER_PLUGIN) ?? []).at(-1)
  const folder = textAt(plugin, 'bin_dir') ?? VERIFIERS
  const names = machine.list(folder)
  if (plugin === undefined && names.length === 0) return undefined
  const found: Told[] = []
  const hole = (code: string, where: string, message: string, mend: string) =>
    found.push({ level: 'hole', code, where, message, mend })
  const newer = config.find((part) => Number(at(part, 'version')?.value) >= 3)
  if (newer === undefined) {
    const where = config[0] === undefined ? `${CONFIG}:1` : whereOf(at(config[0], 'version') ?? config[0])
    hole('VERIFIER_UNKNOWN_HERE', where, 'only containerd 2 asks verifiers', 'use containerd 2, with version = 3')
  }
  checkPrograms(machine, { plugin, folder, names }, hole)
  for (const { text, spot } of config.flatMap((part) => textsIn(at(part, 'disabled_plugins')))) {
    if (!ASKING.has(text)) continue
    hole('VERIFIER_NOT_ASKED', whereOf(spot), `without ${text} verifiers are not asked`, 'take it out of the list')
  }
  for (const part of criParts(config)) checkAsked(part, hole)
  return found
}

type Hole = (code: string, where: string, message: string, mend: string) => void

function checkPrograms(
  machine: Machine,
  {
    plugin,
    folder,
    names,
  }: { readonly plugin: Spot | undefined; readonly folder: string; readonly names: readonly string[] },
  hole: Hole,
): void {
  const where = plugin === undefined ? folder : whereOf(at(plugin, 'bin_dir') ?? plugin)
  if (names.length === 0) {
    const message = `${folder} is empty or not there, and then every image is let in`
    return hole('NO_VERIFIER', where, message, 'tagseal doctor --write verifier')
  }
  const most = at(plugin, 'max_verifiers')
  const limit = typeof most?.value === 'number' ? most.value : MOST_VERIFIERS
  const asked = limit < 0 ? names : names.slice(0, limit)
  const isOurs = (name: string) =>
    /\btagseal\b/.test(`${name}\n${machine.text(`${folder}/${name}`)?.slice(0, 4096) ?? ''}`)
  if (asked.some((name) => isOurs(name) && machine.isExecutable(`${folder}/${name}`))) return
  if (names.some(isOurs) && !asked.some(isOurs)) {
    const message = `only the first ${limit} programs of ${folder} are asked, and ours is not among them`
    return hole('VERIFIER_SKIPPED', most === undefined ? where : whereOf(most), message, 'max_verifiers = -1')
  }
  hole(
    'VERIFIER_OTHER',
    where,
    `no program of ${folder} that can be run is tagseal verifier`,
    'tagseal doctor --write verifier',
  )
}

/** Settings that have Kubernetes pull without the transfer service, which is the part that asks. */
function checkAsked(part: Spot, hole: Hole): void {
  const bad = (spot: Spot | undefined, isBad: boolean) => {
    if (spot === undefined || !isBad) return
    const message = 'with this setting Kubernetes pulls without asking verifiers'
    hole('VERIFIER_NOT_ASKED', whereOf(spot), message, 'take this line out')
  }
  for (const name of ['use_local_image_pull', 'discard_unpacked_layers', 'image_pull_with_sync_fs']) {
    for (const spot of [at(part, name), at(part, 'containerd', name)]) bad(spot, isTrue(spot))
  }
  const downloads = at(part, 'max_concurrent_downloads')
  bad(downloads, downloads?.value !== 3)
  const snapshots = [at(part, 'disable_snapshot_annotations'), at(part, 'containerd', 'disable_snapshot_annotations')]
  for (const spot of snapshots) bad(spot, spot?.value === false)
  for (const name of ['mirrors', 'configs', 'auths']) {
    const spot = at(part, 'registry', name)
    bad(spot, (spot?.members.size ?? 0) > 0)
  }
}
