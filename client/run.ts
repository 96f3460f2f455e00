/** One run of the program: arguments in, exit code out. Time, environment and streams enter here. */
import type { Answer } from './commands/declare.ts'
import { settingsFrom } from './commands/globals.ts'
import { misspelt } from './settings.ts'
import type { Environment } from './settings.ts'
import { parseArguments } from './commands/program.ts'
import { openContext } from './context.ts'
import { failureOf } from './exit.ts'
import type { ExitCode, Failure } from './exit.ts'
import { failureDocument, tellFailure } from './failure-text.ts'
import { openTerminal } from './terminal.ts'
import type { Output, Terminal } from './terminal.ts'
import { untilAborted } from './until-aborted.ts'

export type Surroundings = {
  readonly env: Environment
  readonly homeDirectory: string | undefined
  /** Opened by the few commands that read it; empty where there is none. */
  readonly stdin?: () => AsyncIterable<Uint8Array>
  readonly stdout: Output
  readonly stderr: Output
  /** Milliseconds since 1970. */
  readonly clock: () => number
  readonly monotonic: () => number
  /** Milliseconds since whoever started us began to wait; 0 where nothing is said. */
  readonly age?: () => number
  /** Aborting it ends the run; what is under way is left as it is. */
  readonly signal: AbortSignal
  /** From now on SIGHUP ends nothing and is told to this listener: to services it says "read again". */
  readonly onHangup?: (listen: () => void) => void
  readonly version: string
}

/** Never throws: whatever goes wrong is printed, with a code, and becomes the exit code. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const json = argv.slice(0, endOf(argv)).includes('--json')
  const verbose = argv.some((word) => word === '--verbose' || word === '-v')
  const terminal = openTerminal({ ...surroundings, quiet: false, verbose })
  try {
    const invocation = await parseArguments(argv, surroundings)
    if (invocation.kind === 'help') {
      surroundings.stdout.write(invocation.text)
      return 0
    }
    const { module, input, globals } = invocation
    const settings = settingsFrom(globals, surroundings.env)
    const loud = openTerminal({ ...surroundings, quiet: settings.quiet, verbose: settings.verbose })
    for (const sentence of misspelt(surroundings.env)) loud.warn(sentence)
    const context = openContext(settings, { ...surroundings, terminal: loud })
    try {
      const work = module.run(context, input)
      const answer = await (module.drains === true ? work : untilAborted(work, surroundings.signal))
      return print(answer, loud, settings.json)
    } finally {
      await context.close()
    }
  } catch (error) {
    return printFailure(error, terminal, json)
  }
}

function endOf(argv: readonly string[]): number {
  const end = argv.indexOf('--')
  return end < 0 ? argv.length : end
}

function print({ lines, document, exit = 0 }: Answer, terminal: Terminal, json: boolean): ExitCode {
  if (json) terminal.json(document)
  else for (const line of lines) terminal.out(line)
  return exit
}

function printFailure(error: unknown, terminal: Terminal, json: boolean): ExitCode {
  const failure = failureOf(error)
  if (json) terminal.json({ error: failureDocument(failure) })
  else tellFailure(terminal, failure)
  for (const line of causesOf(error, failure, terminal.verbose)) terminal.detail(line)
  return failure.exit
}

/** Only with `--verbose`: what is underneath; and for a bug of ours, where it happened. */
function causesOf(error: unknown, { code }: Failure, verbose: boolean): readonly string[] {
  if (!verbose || !(error instanceof Error)) return []
  const own = code === 'INTERNAL' && error.stack !== undefined ? error.stack.split('\n') : []
  const causes: string[] = []
  for (let cause = error.cause; cause instanceof Error && causes.length < 8; cause = cause.cause) {
    causes.push(`because: ${cause.message}`)
  }
  return [...own, ...causes]
}
