/** What systemd gives a daemon: variables and options. */
import type { Machine } from './machine.ts'

export type Line = { readonly text: string; readonly where: string }

export type Units = {
  /** By their names in capitals, the last one that is set. */
  readonly environment: ReadonlyMap<string, Line>
  /** The values of an option of the daemon's: `config` for `--config`, and `c` for `-c`. */
  readonly flags: (...names: readonly string[]) => readonly Line[]
}

/** Later ones go before earlier ones. */
const FOLDERS = [
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
  '/usr/local/lib/systemd/system',
  '/run/systemd/system',
  '/etc/systemd/system',
  '/run/systemd/system.control',
  '/etc/systemd/system.control',
]
/** Drop-ins for units of every name. */
const ALL_SERVICES = 'service.d'

export function readUnits(machine: Machine, name: string): Units {
  const lines = unitFiles(machine, name).flatMap((file) => linesOf(machine, file))
  const environment = environmentOf(machine, lines)
  const starts = lines.filter(({ text }) => text.startsWith('ExecStart=') && text !== 'ExecStart=').slice(-1)
  return {
    environment,
    flags: (...names) =>
      starts.flatMap(({ text, where }) =>
        valuesOf(expanded(text, environment), names).map((value) => ({ text: value, where })),
      ),
  }
}

function unitFiles(machine: Machine, name: string): readonly string[] {
  const unit = FOLDERS.map((folder) => `${folder}/${name}`).findLast(machine.has)
  const dropIns = FOLDERS.flatMap((folder) => [`${folder}/${ALL_SERVICES}`, `${folder}/${name}.d`])
    .flatMap((folder) => machine.list(folder).map((file) => ({ file, path: `${folder}/${file}` })))
    .filter(({ file }) => file.endsWith('.conf'))
  // One of the same name in a folder that goes before takes the place of the other, also where it is empty.
  const counted = new Map(dropIns.map(({ file, path }) => [file, path]))
  const inOrder = [...counted].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return [...(unit === undefined ? [] : [unit]), ...inOrder.map(([, path]) => path)]
}

function environmentOf(machine: Machine, lines: readonly Line[]): ReadonlyMap<string, Line> {
  const environment = new Map<string, Line>()
  for (const { text, where } of lines) {
    const [, setting, value = ''] = /^(Environment|EnvironmentFile)=(.*)$/.exec(text) ?? []
    if (setting === 'Environment' && value === '') environment.clear()
    if (setting === 'Environment') for (const word of wordsOf(value)) take(environment, word, where)
  }
  // Whatever the order of the lines, files go before what stands in units, and what is unset comes last.
  for (const file of filesOfVariables(lines).flatMap((name) => matching(machine, name)))
    for (const line of linesOf(machine, file)) take(environment, assignmentIn(line.text), line.where)
  const unset = lines.flatMap(({ text }) => /^UnsetEnvironment=(.*)$/.exec(text)?.[1] ?? [])
  for (const word of unset.flatMap(wordsOf)) environment.delete(word.split('=', 1).join('').toUpperCase())
  return environment
}

function filesOfVariables(lines: readonly Line[]): readonly string[] {
  const values = lines.flatMap(({ text }) => /^EnvironmentFile=(.*)$/.exec(text)?.[1] ?? [])
  return values.slice(values.lastIndexOf('') + 1).map((value) => unquoted(value).replace(/^-/, ''))
}

/** The files that a name with `*` or `?` in it stands for. */
function matching(machine: Machine, name: string): readonly string[] {
  const at = name.lastIndexOf('/')
  const [folder, pattern] = [name.slice(0, at), name.slice(at + 1)]
  if (!/[*?]/.test(pattern)) return [name]
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const fits = new RegExp(`^${source}$`)
  return machine.list(folder).flatMap((file) => (fits.test(file) ? [`${folder}/${file}`] : []))
}

/** A line that ends with a backslash goes on in the next one. */
export function linesOf(machine: Machine, file: string): readonly Line[] {
  const lines: Line[] = []
  let open: Line | undefined
  for (const [i, raw] of (machine.text(file) ?? '').split('\n').entries()) {
    const text = raw.trim()
    const goesOn = text.endsWith('\\')
    const part = goesOn ? text.slice(0, -1) : text
    const line = { text: open === undefined ? part : `${open.text} ${part}`, where: open?.where ?? `${file}:${i + 1}` }
    open = goesOn ? line : undefined
    if (!goesOn) lines.push(line)
  }
  return open === undefined ? lines : [...lines, open]
}

/** `A=1 "B=2 3" C='4'`, without the quotes. */
function wordsOf(text: string): readonly string[] {
  return (text.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? []).map(unquoted)
}

/** What a line of a file of variables sets, or of a shell: all of it is one value. */
export function assignmentIn(text: string): string {
  return unquoted(text.replace(/^export\s+/, ''))
}

function unquoted(text: string): string {
  return text.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2')
}

/** Of a variable in capitals and in small letters the one in capitals counts, and an empty one is none. */
function take(environment: Map<string, Line>, text: string, where: string): void {
  const [, name = '', value = ''] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(text) ?? []
  if (name === '') return
  const isSmall = name !== name.toUpperCase()
  if (isSmall && environment.has(name.toUpperCase())) return
  if (value === '') environment.delete(name.toUpperCase())
  else environment.set(name.toUpperCase(), { text: value, where })
}

function expanded(text: string, environment: ReadonlyMap<string, Line>): string {
  return text.replaceAll(/\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?/g, (_all, name: string) => {
    return environment.get(name.toUpperCase())?.text ?? ''
  })
}

function valuesOf(command: string, names: readonly string[]): readonly string[] {
  const words = wordsOf(command)
  const options = names.map((name) => (name.length === 1 ? `-${name}` : `--${name}`))
  return words.flatMap((word, i) => {
    const option = options.find((one) => word === one || word.startsWith(`${one}=`))
    if (option === undefined) return []
    return word === option ? (words[i + 1] ?? []) : word.slice(option.length + 1)
  })
}
