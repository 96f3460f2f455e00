/** What systemd gives the docker daemon: variables and options. */
import type { Machine } from './machine.ts'

export type Line = { readonly text: string; readonly where: string }

export type Units = {
  /** By their names in capitals, the last one that is set. */
  readonly environment: ReadonlyMap<string, Line>
  /** The values of an option of the daemon's. */
  readonly flags: (name: string) => readonly Line[]
}

const FOLDERS = ['/usr/lib/systemd/system', '/lib/systemd/system', '/run/systemd/system', '/etc/systemd/system']
const UNIT = 'docker.service'

export function readUnits(machine: Machine): Units {
  const units = FOLDERS.map((folder) => `${folder}/${UNIT}`)
  const dropIns = FOLDERS.flatMap((folder) =>
    machine
      .list(`${folder}/${UNIT}.d`)
      .filter((name) => name.endsWith('.conf'))
      .map((name) => ({ name, file: `${folder}/${UNIT}.d/${name}` })),
  ).toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  const unit = units.findLast(machine.has)
  const lines = [...(unit === undefined ? [] : [unit]), ...dropIns.map(({ file }) => file)].flatMap((file) =>
    linesOf(machine, file),
  )
  const environment = new Map<string, Line>()
  for (const { text, where } of lines) {
    const [, name, value = ''] = /^(Environment|EnvironmentFile)=(.*)$/.exec(text) ?? []
    if (name === 'Environment' && value === '') environment.clear()
    if (name === 'Environment') take(environment, value, where)
    if (name !== 'EnvironmentFile') continue
    for (const line of linesOf(machine, value.replace(/^-/, ''))) take(environment, line.text, line.where)
  }
  const starts = lines.filter(({ text }) => text.startsWith('ExecStart=') && text !== 'ExecStart=').slice(-1)
  return {
    environment,
    flags: (name) =>
      starts.flatMap(({ text, where }) =>
        [...text.matchAll(new RegExp(`--${name}[= ]"?([^\\s"]+)`, 'g'))].map(([, value = '']) => ({
          text: value,
          where,
        })),
      ),
  }
}

function linesOf(machine: Machine, file: string): readonly Line[] {
  const lines = (machine.text(file) ?? '').split('\n')
  return lines.map((line, i) => ({ text: line.trim(), where: `${file}:${i + 1}` }))
}

/** `A=1 "B=2 3"`; of a variable in capitals and in small letters the one in capitals counts, and an empty one is none. */
function take(environment: Map<string, Line>, text: string, where: string): void {
  for (const [, quoted, plain] of text.replace(/^export\s+/, '').matchAll(/"([^"]*)"|(\S+)/g)) {
    const [, name = '', value = ''] = /^([A-Za-z_]+)=(.*)$/.exec(quoted ?? plain ?? '') ?? []
    if (name === '') continue
    const isSmall = name !== name.toUpperCase()
    if (isSmall && environment.has(name.toUpperCase())) continue
    const bare = value.replaceAll(/^"|"$/g, '')
    if (bare === '') environment.delete(name.toUpperCase())
    else environment.set(name.toUpperCase(), { text: bare, where })
  }
}
