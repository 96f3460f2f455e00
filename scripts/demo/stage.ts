/** What a story is played on: one temporary folder, the processes started for it, and the end of both. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

export type Ran = { readonly status: number | null; readonly stdout: string; readonly stderr: string }
export type Running = {
  /** What the ready line named. */
  readonly url: string
  readonly stop: () => Promise<void>
}
export type Stage = {
  readonly dir: string
  readonly path: (...parts: readonly string[]) => string
  readonly run: (program: string, args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<Ran>
  readonly serve: (program: string, args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<Running>
  /** Called at the end, last one first. */
  readonly atEnd: (step: () => Promise<void>) => void
  /** Ends every process that was started here, by its own id, and removes the folder. */
  readonly close: () => Promise<void>
}

export async function openStage(): Promise<Stage> {
  const dir = await mkdtemp(join(tmpdir(), 'tagseal-demo-'))
  await mkdir(join(dir, 'tmp'))
  // Programs started here, and helpers in this process, put nothing anywhere else.
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = join(dir, 'tmp')
  const ends: (() => Promise<void>)[] = []
  const children = new Set<ChildProcess>()

  const start = (program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    const [command, ...words] = /\.(?:ts|cjs)$/.test(program)
      ? [process.execPath, program, ...args]
      : [program, ...args]
    const child = spawn(command, words, {
      cwd: dir,
      env: { ...surroundings(dir), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.add(child)
    child.on('exit', () => children.delete(child))
    return child
  }

  return {
    dir,
    path: (...parts) => join(dir, ...parts),
    atEnd: (step) => void ends.push(step),
    async run(program, args, env) {
      const child = start(program, args, env)
      const closed = once(child, 'close')
      const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
      await closed
      return { status: child.exitCode, stdout: stdout.trim(), stderr: stderr.trim() }
    },
    async serve(program, args, env) {
      const child = start(program, args, env)
      const said: string[] = []
      createInterface({ input: child.stderr }).on('line', (line) => said.push(line))
      for await (const line of createInterface({ input: child.stdout })) {
        const [url] = /https?:\/\/\S+/.exec(line) ?? []
        if (url === undefined) continue
        child.stdout.resume()
        return { url, stop: () => end(child) }
      }
      throw new Error(`${program} ended before it was ready:\n${said.join('\n')}`)
    },
    async close() {
      for (const step of ends.toReversed()) await step()
      await Promise.all([...children].map(end))
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Nothing of whoever runs this reaches the programs: no token, no pin, no login, no home. */
function surroundings(dir: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: join(dir, 'tmp'),
    TMPDIR: join(dir, 'tmp'),
    DOCKER_CONFIG: join(dir, 'tmp'),
    // Dozens of programs start here: each compiles what the one before did not.
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(dir, 'tmp', 'compiled'),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), 5000)
  await exited
  clearTimeout(late)
}
