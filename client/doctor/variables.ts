/** Variables that have podman and its kin read another `registries.conf` than the one that leads to the gateway. */
import type { Finding } from './finding.ts'
import type { Machine } from './machine.ts'
import { at, readToml, textsIn, whereOf } from './spot.ts'
import { assignmentIn, linesOf, readUnits } from './units.ts'
import type { Line } from './units.ts'

type Told = Omit<Finding, 'engine'>

const NAMES: ReadonlySet<string> = new Set(['CONTAINERS_REGISTRIES_CONF', 'REGISTRIES_CONFIG_PATH'])
const UNITS = ['crio.service', 'podman.service']
const OF_EVERYBODY = '/etc/environment'
const OF_SHELLS = ['/etc/profile', '/etc/bash.bashrc', '/etc/bashrc']
const SHELL_FOLDER = '/etc/profile.d'

/** `folders` are those of the machine and of its users that `containers.conf` may lie in; `own` is what they may name. */
export function checkVariables(machine: Machine, folders: readonly string[], own: string): readonly Told[] {
  return [
    ...fromUnits(machine),
    ...fromShells(machine),
    ...folders.flatMap((folder) => fromContainers(machine, folder)),
  ]
    .map(({ text, where }) => ({ where, name: text.split('=', 1).join(''), value: text.slice(text.indexOf('=') + 1) }))
    .filter(({ name, value }) => NAMES.has(name) && value !== '' && value !== own)
    .map(({ where, name, value }) => ({
      level: 'hole',
      code: 'REGISTRIES_ELSEWHERE',
      where,
      message: `${name} has ${value} read, and nothing of what leads to the gateway`,
      mend: 'take this line out',
    }))
}

function fromUnits(machine: Machine): readonly Line[] {
  return UNITS.flatMap((unit) =>
    [...readUnits(machine, unit).environment].map(([name, { text, where }]) => ({ text: `${name}=${text}`, where })),
  )
}

function fromShells(machine: Machine): readonly Line[] {
  const more = machine.list(SHELL_FOLDER).map((name) => `${SHELL_FOLDER}/${name}`)
  return [OF_EVERYBODY, ...OF_SHELLS, ...more]
    .flatMap((file) => linesOf(machine, file))
    .map(({ text, where }) => ({ text: assignmentIn(text), where }))
}

function fromContainers(machine: Machine, folder: string): readonly Line[] {
  const more = machine.list(`${folder}/containers.conf.d`).filter((name) => name.endsWith('.conf'))
  return [`${folder}/containers.conf`, ...more.map((name) => `${folder}/containers.conf.d/${name}`)].flatMap((file) => {
    const text = machine.text(file)
    const variables = text === undefined ? [] : textsIn(at(readToml(text, file), 'engine', 'env'))
    return variables.map(({ text: variable, spot }) => ({ text: variable, where: whereOf(spot) }))
  })
}
