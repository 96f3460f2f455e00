import { runProgram } from './program.ts'
import type { Ran } from './program.ts'
import { TAGSEAL } from './programs.ts'

export type { Ran } from './program.ts'

export type CliOptions = {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Run it through this program: `['faketime', '+3d']`. */
  readonly through?: readonly string[]
  /** Another copy of it. */
  readonly program?: string
}

/** Whatever this machine's user has set must not reach the program under test. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:TAGSEAL_|DOCKER_|XDG_|CREDENTIALS_)/.test(name)),
)

/** Runs the real `tagseal` to its end. */
export function tagseal(args: readonly string[], options: CliOptions = {}): Promise<Ran> {
  const command = [...(options.through ?? []), process.execPath, options.program ?? TAGSEAL, ...args]
  const [program = process.execPath, ...rest] = command
  return runProgram(program, rest, { env: { ...ENVIRONMENT, ...options.env }, cwd: options.cwd })
}

/** What `--json` printed. */
export function documentOf({ stdout }: Ran): unknown {
  return JSON.parse(stdout)
}

/** The code in `error: ... (CODE)`, or what `--json` says. */
export function codeOf({ stdout, stderr }: Ran): string | undefined {
  const plain = /^error: .*\(([A-Z_]+)\)$/m.exec(stderr)?.[1]
  return plain ?? /"error": \{\s*"code": "([A-Z_]+)"/.exec(stdout)?.[1]
}
