/** The command line: from arguments to one command's input, and everything that is wrong with them. */
import { Command, CommanderError, InvalidArgumentError, Option as CommanderOption } from 'commander'
import type { Entry, Group } from './table.ts'
import { COMMANDS } from './table.ts'
import type { AnyInput, CommandModule, Option, Options } from './declare.ts'
import { CommandError, usage } from './errors.ts'
import { GLOBAL_OPTIONS } from './globals.ts'

/** What the arguments asked for. `help` is printed and nothing run; `globals` holds the global options. */
export type Invocation =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'run'; readonly module: CommandModule; readonly input: AnyInput; readonly globals: AnyInput }

export type ProgramFacts = { readonly version: string }

/**
 * Throws CommandError USAGE for arguments that fit no command. Commands that no argument names are not even declared,
 * which a run of milliseconds would notice; whoever is mistaken or asks for help is answered with all of them.
 */
export async function parseArguments(argv: readonly string[], facts: ProgramFacts): Promise<Invocation> {
  const named = Object.entries(COMMANDS).filter(([name]) => argv.includes(name))
  const asksForHelp = argv.some((word) => word === '--help' || word === '-h' || word === 'help')
  if (named.length === 0 || asksForHelp) return await parseAmong(COMMANDS, argv, facts)
  try {
    return await parseAmong(Object.fromEntries(named), argv, facts)
  } catch (error) {
    if (error instanceof CommandError) return await parseAmong(COMMANDS, argv, facts)
    throw error
  }
}

type Table = Readonly<Record<string, Entry | Group>>

async function parseAmong(table: Table, argv: readonly string[], facts: ProgramFacts): Promise<Invocation> {
  const printed: string[] = []
  let parsed: Invocation | undefined
  const program = new Command('tagseal')
    .description('Signs which digest an image tag means, and makes every pull check it.')
    .version(facts.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => printed.push(text),
      writeErr: (text) => printed.push(text),
      outputError: () => {},
    })
  declareOptions(program, GLOBAL_OPTIONS)
  program.addHelpText('after', `\n${EXIT_CODES}`)
  declareCommands(program, table, (module, command) => {
    parsed = {
      kind: 'run',
      module,
      input: inputOf(module, command),
      globals: inputOf({ operands: {}, options: GLOBAL_OPTIONS }, program),
    }
  })
  try {
    await program.parseAsync(normalised(argv), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode !== 0) throw refusal(error, argv)
    return { kind: 'help', text: printed.join('') }
  }
  if (parsed === undefined) throw usage('no command is given', 'tagseal --help')
  return parsed
}

const EXIT_CODES = `Exit codes:
  0  trusted, or done
  1  refused
  2  wrongly called
  3  could not find out

Example:
  tagseal verify registry.example.com/team/app:1.4
`

type Chosen = (module: CommandModule, command: Command) => void

function declareCommands(parent: Command, table: Table, chosen: Chosen): void {
  const entries = new Map<Command, Entry>()
  for (const [name, entry] of Object.entries(table)) {
    const command = parent.command(name).summary(entry.summary).description(sentence(entry.summary)).helpCommand(false)
    if ('commands' in entry) {
      declareCommands(command, entry.commands, chosen)
      command.addHelpText('after', `\nExample:\n  ${entry.example}\n`)
    } else
      entries.set(
        command.action(() => {}),
        entry,
      )
  }
  // A command's own module is loaded once it is known to be the one.
  parent.hook('preSubcommand', async (_parent, command) => {
    const entry = entries.get(command)
    if (entry === undefined) return
    const module = await entry.load()
    declareCommand(command, module)
    command.action(() => chosen(module, command))
  })
}

function declareCommand(command: Command, module: CommandModule): void {
  for (const [name, { kind, help }] of Object.entries(module.operands)) {
    command.argument(PLACES[kind](name), help)
  }
  declareOptions(command, module.options)
  const notes = module.notes === undefined ? '' : `\n${module.notes}\n`
  const title = module.examples.length > 1 ? 'Examples' : 'Example'
  command.addHelpText('after', `${notes}\n${title}:\n${module.examples.map((line) => `  ${line}`).join('\n')}\n`)
}

const PLACES = {
  one: (name: string) => `<${name}>`,
  many: (name: string) => `<${name}...>`,
  any: (name: string) => `[${name}...]`,
} as const

const SHORT: Readonly<Record<string, string>> = { quiet: '-q, ', verbose: '-v, ' }

function declareOptions(command: Command, options: Options): void {
  for (const [name, option] of Object.entries(options)) {
    command.addOption(commanderOption(`${SHORT[name] ?? ''}--${name}`, option))
  }
}

function commanderOption(flags: string, { kind, value, help }: Option): CommanderOption {
  switch (kind) {
    case 'flag':
      return new CommanderOption(flags, help)
    case 'list':
      // A value that the help shows with its equals sign may be left out.
      return new CommanderOption(value.startsWith('=') ? `${flags} [${value}]` : `${flags} <${value}>`, help).argParser(
        (text, before: readonly string[] | undefined) => [...(before ?? []), text],
      )
    case 'text':
      return new CommanderOption(`${flags} <${value}>`, help).argParser(onceOnly)
    case 'count':
      return new CommanderOption(`${flags} <${value}>`, help).argParser((text, before: number | undefined) =>
        wholeNumber(onceOnly(text, before)),
      )
  }
}

/** The second of two different values would win silently. */
function onceOnly(text: string, before: unknown): string {
  if (before !== undefined) throw new InvalidArgumentError('It was given twice.')
  if (text === '') throw new InvalidArgumentError('It is empty.')
  return text
}

function wholeNumber(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError('A whole number of at least 1 is meant.')
  return Number(text)
}

/** `--plain-http` takes a host after an equals sign only: what follows it otherwise is an image. */
function normalised(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  const plain = argv.map((word, i) => (word === '--plain-http' && (end < 0 || i < end) ? '--plain-http=' : word))
  const own = plain.find((word) => Object.hasOwn(COMMANDS, word)) === 'verifier' ? asContainerdCalls(plain) : plain
  return own[0] === 'help' ? [...own.slice(1), '--help'] : own
}

/**
 * containerd calls its verifiers as programs in Go are called: with one dash before a long option. What follows is a value,
 * whatever it reads like: an image that is named `--version` asks for no version, which would be a yes.
 */
function asContainerdCalls(argv: readonly string[]): string[] {
  const words: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const [word = '', value] = argv.slice(i, i + 2)
    const isGiven = value !== undefined && /^-(?:name|digest|stdin-media-type)$/.test(word)
    if (isGiven) i += 1
    words.push(isGiven ? `-${word}=${value}` : word.replace(/^-(?=[a-z][a-z-]+(?:=|$))/, '--'))
  }
  return words
}

function inputOf({ operands, options }: Pick<CommandModule, 'operands' | 'options'>, command: Command): AnyInput {
  const places = new Map(Object.keys(operands).map((name, i) => [name, i]))
  const operand = (name: string): unknown => command.processedArgs[places.get(name) ?? -1]
  const declared = new Map(command.options.map((option) => [option.long?.slice(2), option]))
  const option = (name: string): unknown =>
    Object.hasOwn(options, name) ? command.getOptionValue(declared.get(name)?.attributeName() ?? '') : undefined
  return {
    one: (name) => textOf(operand(name)) ?? '',
    many: (name) => textsOf(operand(name)),
    // commander keeps `--no-x` as an x that is false.
    flag: (name) => option(name) === (declared.get(name)?.negate !== true),
    text: (name) => textOf(option(name)),
    list: (name) => textsOf(option(name)),
    count: (name) => {
      const value = option(name)
      return typeof value === 'number' ? value : undefined
    },
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}

/** commander's own words, in our form: no capital, no full stop, and what to type next in a hint. */
function refusal(error: CommanderError, argv: readonly string[]): CommandError<'USAGE'> {
  const path = commandPath(argv)
  const help = ['tagseal', ...path, '--help'].join(' ')
  if (error.code === 'commander.help') return usage(`${path.at(-1) ?? 'tagseal'} needs a command`, help)
  const [, why = error.message, , guess] =
    /^(?:error: )?([^\n]*?)\.?(\n\(Did you mean (.*?)\?\))?$/s.exec(error.message) ?? []
  const plain = why.replace(/ It was given twice$/, ' (it was given twice)').replace(/ It is empty$/, ' (it is empty)')
  if (/^option '--(?:registry-)?ca <.*\(it was given twice\)$/s.test(plain))
    return usage(plain, 'put both certificates into one file')
  return usage(plain, guess === undefined ? help : `did you mean ${guess}?`)
}

/** The words that name a command: for the hint, so a value that looks like one does no harm. */
function commandPath(argv: readonly string[]): readonly string[] {
  const group = argv.find((word) => Object.hasOwn(COMMANDS, word))
  const entry = COMMANDS[group ?? '']
  if (group === undefined || entry === undefined) return []
  if (!('commands' in entry)) return [group]
  const command = argv.slice(argv.indexOf(group) + 1).find((word) => Object.hasOwn(entry.commands, word))
  return command === undefined ? [group] : [group, command]
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`
}
