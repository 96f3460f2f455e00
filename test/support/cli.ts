import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('../../client/main.ts', import.meta.url))

export type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

export type CliOptions = {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Run it through this program: `['faketime', '+3d']`. */
  readonly through?: readonly string[]
}

/** Whatever this machine's user has set must not reach the program under test. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(?:TAGSEAL_|DOCKER_|XDG_|CREDENTIALS_)/.test(name)),
)

/** Runs the real `tagseal` to its end. */
export function tagseal(args: readonly string[], options: CliOptions = {}): Promise<Ran> {
  const command = [...(options.through ?? []), process.execPath, PROGRAM, ...args]
  const [program = process.execPath, ...rest] = command
  const env = { ...ENVIRONMENT, ...options.env }
  // A session of its own has no terminal to ask on, as in a pipeline.
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env, cwd: options.cwd, detached: true })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (part: Buffer) => out.push(part))
  child.stderr.on('data', (part: Buffer) => err.push(part))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({ code, stdout: Buffer.concat(out).toString('utf8'), stderr: Buffer.concat(err).toString('utf8') })
    })
  })
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
