/**
 * podman, CRI-O, skopeo and buildah: `policy.json` says which names may be pulled at all, `registries.conf` where they
 * come from. Whatever the first lets through, the second has to lead to the gateway.
 */
import type { Finding } from './finding.ts'
import { isOpenToOthers, namesGateway } from './gateway.ts'
import type { Gateway } from './gateway.ts'
import type { Machine } from './machine.ts'
import { covers, entryFor, readRegistries } from './registries.ts'
import type { Entry, Registries } from './registries.ts'
import { at, Broken, readJson, readToml, textAt, textsIn, whereOf } from './spot.ts'
import type { Spot } from './spot.ts'
import { readUnits } from './units.ts'
import type { Line } from './units.ts'
import { checkVariables } from './variables.ts'

export const FOLDER = '/etc/containers'
export const POLICY = `${FOLDER}/policy.json`
export const REGISTRIES = `${FOLDER}/registries.conf.d/999-tagseal.conf`
const PROGRAMS = [
  '/usr/bin/podman',
  '/usr/bin/crio',
  '/usr/local/bin/crio',
  '/usr/bin/skopeo',
  '/usr/bin/buildah',
  FOLDER,
]
const CRIO = '/etc/crio'
const MOST_USERS = 1000

type Told = Omit<Finding, 'engine'>
type Hole = (code: string, spot: Pick<Spot, 'file' | 'line'>, message: string, mend: string) => void

export function checkPodman(machine: Machine, gateway: Gateway): readonly Finding[] | undefined {
  if (!PROGRAMS.some(machine.has)) return undefined
  const found = [...checkAll(machine, gateway)].map((told) => ({ engine: 'podman', ...told }) as const)
  const seen = new Set<string>()
  return found.filter(({ code, where }) => !seen.has(`${code} ${where}`) && seen.add(`${code} ${where}`))
}

/** Once for the machine, and once for each user and each namespace that has files of its own. */
function* checkAll(machine: Machine, gateway: Gateway): Generator<Told, void, undefined> {
  yield* guarded(() => checkPair(machine, gateway, FOLDER, POLICY))
  yield* guarded(() => checkCrio(machine, gateway))
  const users = userFolders(machine)
  const folders = ['/usr/share/containers', FOLDER, ...users]
  yield* guarded(() => checkVariables(machine, folders, `${FOLDER}/registries.conf`))
  for (const folder of users) {
    const registries = hasRegistries(machine, folder) ? folder : FOLDER
    const policy = machine.has(`${folder}/policy.json`) ? `${folder}/policy.json` : POLICY
    if (registries !== FOLDER || policy !== POLICY)
      yield* guarded(() => checkPair(machine, gateway, registries, policy))
  }
}

function hasRegistries(machine: Machine, folder: string): boolean {
  return machine.has(`${folder}/registries.conf`) || machine.list(`${folder}/registries.conf.d`).length > 0
}

function userFolders(machine: Machine): readonly string[] {
  const named = (machine.text('/etc/passwd') ?? '').split('\n').map((line) => line.split(':')[5] ?? '')
  const usual = machine.list('/home').map((name) => `/home/${name}`)
  const homes = new Set(['/root', ...usual, ...named.filter((home) => /^\/./.test(home))].slice(0, MOST_USERS))
  return [...homes].map((home) => `${home.replace(/\/$/, '')}/.config/containers`).filter(machine.has)
}

function guarded(check: () => readonly Told[]): readonly Told[] {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    const mend = 'mend the file; nothing is pulled with it'
    return [{ level: 'unknown', code: 'CONFIG_BROKEN', where: whereOf(error), message: error.message, mend }]
  }
}

function checkCrio(machine: Machine, gateway: Gateway): readonly Told[] {
  const { flags } = readUnits(machine, 'crio.service')
  const more = flags('config-dir', 'd').at(-1)?.text ?? `${CRIO}/crio.conf.d`
  const files = [
    flags('config', 'c').at(-1)?.text ?? `${CRIO}/crio.conf`,
    ...machine.list(more).map((name) => `${more}/${name}`),
  ]
  const parts = files.flatMap((file) => {
    const text = machine.text(file)
    return text === undefined ? [] : [readToml(text, file)]
  })
  /** What the command line says goes before the files. */
  const last = (name: string) =>
    flags(name.replaceAll('_', '-')).at(-1)?.text ??
    parts.flatMap((part) => textAt(part, 'crio', 'image', name) ?? []).findLast((text) => text !== '')
  const folder = last('signature_policy_dir') ?? `${CRIO}/policies`
  const policies = [last('signature_policy') ?? POLICY, ...machine.list(folder).map((name) => `${folder}/${name}`)]
  const listed = parts.flatMap((part) => textsIn(at(part, 'crio', 'image', 'insecure_registries')))
  const insecure = [...listed.map(({ text, spot }) => ({ text, where: whereOf(spot) })), ...flags('insecure-registry')]
  return [
    ...policies.flatMap((policy) => checkPair(machine, gateway, FOLDER, policy)),
    ...insecure.flatMap((line) => (isRisk(gateway, line.text) ? [insecureTold(line)] : [])),
  ]
}

function isRisk(gateway: Gateway, text: string): boolean {
  return namesGateway(gateway, text) && !gateway.isLoopback
}

function insecureTold({ text, where }: Line): Told {
  const message = 'anybody on the way can answer in the place of the gateway'
  return { level: 'hole', code: 'INSECURE_GATEWAY', where, message, mend: `leave ${text} out` }
}

function checkPair(machine: Machine, gateway: Gateway, folder: string, policyFile: string): readonly Told[] {
  const text = machine.text(policyFile)
  const policy = text === undefined ? undefined : readJson(text, policyFile)
  const registries = readRegistries(machine, folder)
  const found: Told[] = []
  const hole: Hole = (code, spot, message, mend) =>
    found.push({ level: 'hole', code, where: whereOf(spot), message, mend })
  if (policy === undefined) {
    const mend = 'tagseal doctor --write podman'
    return [{ level: 'warning', code: 'NO_POLICY', where: policyFile, message: 'without it nothing is pulled', mend }]
  }
  checkPolicy(policy, registries, gateway, hole)
  for (const entry of registries.entries.values()) checkEntry(entry, policy, gateway, hole)
  checkNames(registries, policy, gateway, hole)
  const { shortNames, search } = registries
  if (shortNames !== undefined && shortNames.value !== 'enforcing' && search.length > 1) {
    const message = `a short name is looked for in ${search.length} registries, one after the other`
    const mend = 'short-name-mode = "enforcing", or one registry to search'
    found.push({ level: 'warning', code: 'SHORT_NAMES', where: whereOf(shortNames), message, mend })
  }
  return found
}

/** Every scope that may be pulled has to lead to the gateway; the one without a name leads everywhere. */
function checkPolicy(policy: Spot, registries: Registries, gateway: Gateway, hole: Hole): void {
  const docker = at(policy, 'transports', 'docker')
  const rest = at(docker, '') ?? at(policy, 'default')
  if (rest === undefined || accepts(rest)) {
    const spot = rest ?? policy
    hole(
      'DEFAULT_ACCEPTS',
      spot,
      'what no other rule is about may be pulled, from wherever it is',
      'default: [{"type": "reject"}]',
    )
  }
  for (const [scope, rule] of docker?.members ?? []) {
    if (scope === '' || !accepts(rule) || leadsToGateway(scope, registries, gateway)) continue
    hole(
      'SCOPE_DIRECT',
      rule,
      `${scope} may be pulled, and no [[registry]] leads it to the gateway`,
      mendFor(scope, gateway),
    )
  }
}

/** All requirements of a list must be met: one that cannot be is enough. */
function accepts(rule: Spot): boolean {
  return !rule.items.some((requirement) => textAt(requirement, 'type') === 'reject')
}

function leadsToGateway(name: string, registries: Registries, gateway: Gateway): boolean {
  if (namesGateway(gateway, name)) return true
  const entry = entryFor(registries, name)
  return entry !== undefined && (entry.blocked || namesGateway(gateway, entry.location))
}

function mendFor(scope: string, { host }: Gateway): string {
  return `[[registry]] with prefix = "${scope}" and location = "${host}/${scope}"`
}

function checkEntry(entry: Entry, policy: Spot, gateway: Gateway, hole: Hole): void {
  if (entry.blocked || !mayBePulled(policy, entry.prefix)) return
  const mend = mendFor(entry.prefix, gateway)
  const isLed = namesGateway(gateway, entry.location)
  if (entry.mirrors.length > 0 && !isLed) {
    hole('MIRRORS_FALL_BACK', entry.locationSpot, `after its mirrors ${entry.location} itself is asked`, mend)
  } else if (!isLed) {
    hole('LOCATION_ELSEWHERE', entry.locationSpot, `${entry.prefix} comes from ${entry.location}`, mend)
  }
  for (const { location, spot } of entry.mirrors) {
    if (!namesGateway(gateway, location))
      hole('MIRROR_ELSEWHERE', spot, `${location} is not the gateway`, 'take the mirror out')
  }
  const insecure = [...(isLed ? [entry.insecure] : []), ...entry.mirrors.map((mirror) => mirror.insecure)]
  for (const spot of insecure) {
    if (spot === undefined || !isOpenToOthers(gateway, 'http:')) continue
    hole('INSECURE_GATEWAY', spot, 'anybody on the way can answer in the place of the gateway', 'take this line out')
  }
}

/** Whether the policy has anything against a name, or against everything below it. */
function mayBePulled(policy: Spot, name: string): boolean {
  const docker = at(policy, 'transports', 'docker')
  const scopes = [...(docker?.members ?? [])].filter(([scope]) => scope !== '')
  const above = scopes.filter(([scope]) => covers(scope, name)).toSorted(([a], [b]) => b.length - a.length)
  const below = scopes.filter(([scope]) => covers(name, scope))
  const rule = above[0]?.[1] ?? at(docker, '') ?? at(policy, 'default')
  return rule === undefined || accepts(rule) || below.some(([, each]) => accepts(each))
}

function checkNames({ search, old, ...rest }: Registries, policy: Spot, gateway: Gateway, hole: Hole): void {
  const registries = { search, old, ...rest }
  for (const { text, spot } of search) {
    if (!mayBePulled(policy, text) || leadsToGateway(text, registries, gateway)) continue
    hole('SEARCH_DIRECT', spot, `short names are looked for in ${text} itself`, mendFor(text, gateway))
  }
  for (const spot of old) {
    hole('OLD_FORMAT', spot, 'sections of the old format lead nowhere but to the registries', 'use [[registry]]')
  }
}
