import { type SpawnOptions, spawn } from 'node:child_process'

export type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

export type ProgramOptions = {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string | undefined
  /** What it reads on stdin; nothing otherwise. */
  readonly input?: string | undefined
}

/** Runs a program to its end. `code` is null where a signal ended it, and 127 where there is none of that name. */
export function runProgram(program: string, args: readonly string[], options: ProgramOptions = {}): Promise<Ran> {
  const { env = process.env, cwd, input } = options
  // A session of its own has no terminal to ask on, as in a pipeline.
  const stdin = input === undefined ? 'ignore' : 'pipe'
  const spawned: SpawnOptions = { stdio: [stdin, 'pipe', 'pipe'], env, cwd, detached: true }
  const child = spawn(program, args, spawned)
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (part: Buffer) => out.push(part))
  child.stderr?.on('data', (part: Buffer) => err.push(part))
  child.stdin?.on('error', () => undefined) // it may end without having read
  child.stdin?.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve({ code: 127, stdout: '', stderr: error.message })
      else reject(error)
    })
    child.on('close', (code) => {
      resolve({ code, stdout: Buffer.concat(out).toString('utf8'), stderr: Buffer.concat(err).toString('utf8') })
    })
  })
}
