import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { COMPILED, TAGSEAL } from './programs.ts'

/** A running `tagseal gateway`. */
export type TestGateway = {
  /** `127.0.0.1:40003` */
  readonly host: string
  readonly url: string
  /** The lines it wrote so far that tell of an event. */
  readonly log: () => readonly Readonly<Record<string, unknown>>[]
  readonly errors: () => string
  readonly policy: string
  /** `SIGSTOP` and `SIGCONT`, which end nothing. */
  readonly signal: (signal: NodeJS.Signals) => void
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
}

export type TestGatewayOptions = {
  /** An existing folder: home, policy and cache are in it. */
  readonly folder: string
  /** What `policy.yaml` says. */
  readonly policy: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Run it through this program: `['faketime', '+3d']`. */
  readonly through?: readonly string[]
}

/** Starts one on a free port of 127.0.0.1 and waits until it says that it is ready. The caller stops it. */
export async function startGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const { folder, args = [], through = [] } = options
  const policy = join(folder, 'policy.yaml')
  await writeFile(policy, options.policy)
  const own = ['--policy', policy, '--listen', '127.0.0.1:0', '--cache', join(folder, 'cache'), ...args]
  const [program = process.execPath, ...rest] = [...through, process.execPath, TAGSEAL, 'gateway', ...own]
  const surroundings = { PATH: process.env['PATH'], HOME: folder, TAGSEAL_HOME: join(folder, 'home') }
  const env = { ...COMPILED, ...surroundings, ...options.env }
  // In a group of its own where another program starts it: that one does not pass signals on.
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env, detached: through.length > 0 })
  const written: string[] = []
  child.stderr.on('data', (part: Buffer) => written.push(part.toString('utf8')))
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => end(child, signal, through.length > 0)
  const url = await readyAddress(child)
  if (url === undefined) {
    await stop('SIGKILL')
    throw new Error(`tagseal gateway did not start:\n${written.join('')}`)
  }
  const lines = () => written.join('').split('\n')
  return {
    url,
    host: new URL(url).host,
    policy,
    errors: () => written.join(''),
    log: () => lines().flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : [])),
    signal: (signal) => void child.kill(signal),
    stop,
  }
}

async function readyAddress({ stdout }: ChildProcess): Promise<string | undefined> {
  if (stdout === null) return undefined
  for await (const line of createInterface({ input: stdout })) {
    const [, url] = /^listening on (https?:\/\/\S+)$/.exec(line) ?? []
    if (url === undefined) continue
    stdout.resume()
    return url
  }
  return undefined
}

/** Over when nobody holds its output any more: then whatever it started is gone as well. */
async function end(child: ChildProcess, signal: NodeJS.Signals, isGroup: boolean): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('close', resolve))
  if (isGroup && child.pid !== undefined) process.kill(-child.pid, signal)
  else child.kill(signal)
  await ended
}
