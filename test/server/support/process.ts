import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { COMPILED, TAGSEAL_SERVER } from '../../support/programs.ts'

export type ServerProcess = {
  readonly url: string
  readonly child: ChildProcess
  /** Everything it logged so far. */
  readonly log: () => string
  /** Sends the signal and waits for the end; the exit code, or the signal that ended it. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | string | null>
}

type Options = { readonly env?: Record<string, string> }

/** Nothing of whoever runs the tests, but what makes a start short. */
const SURROUNDINGS = { PATH: process.env['PATH'] ?? '', ...COMPILED }

/** One process starts sooner than several; whoever is about readers asks for them. */
const ALONE = { TAGSEAL_SERVER_READERS: '0' }

/** The program as an operator runs it. Resolves when it says that it is ready. */
export async function startProcess(args: readonly string[], { env = {} }: Options = {}): Promise<ServerProcess> {
  const child = startProgram(args, { env: { ...ALONE, ...env } })
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString()
  })
  const ended = once(child, 'exit')
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text)),
    ended.then(([code]) => {
      throw Object.assign(new Error(`it ended with ${String(code)}: ${log}`), { exit: code as number, log })
    }),
  ])
  return {
    url: line.replace('tagseal-server listening on ', ''),
    child,
    log: () => log,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const [code, by] = (await ended) as [number | null, string | null]
      return code ?? by
    },
  }
}

/** Starts the program and waits for nothing. */
export function startProgram(args: readonly string[], { env = {} }: Options = {}) {
  return spawn(process.execPath, [TAGSEAL_SERVER, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...SURROUNDINGS, ...env },
  })
}

/** Runs a command of the program to its end. */
export async function run(args: readonly string[], options: Options = {}) {
  const child = startProgram(args, options)
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => void (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, stdout, stderr }
}
