import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { runProgram } from './program.ts'
import { TAGSEAL_SERVER } from './programs.ts'

/** A running `tagseal-server`. */
export type TestServer = {
  readonly url: string
  readonly data: string
  /** What it wrote on stderr so far. */
  readonly log: () => string
  /** Ends the process; the data stays until `remove`. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>
  readonly remove: () => Promise<void>
}

export type TestServerOptions = {
  /** An existing folder, to start again on what another server left. */
  readonly data?: string
  /** Instead of `--open`: tokens are asked for. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Run it through this program: `['faketime', '+3d']`. */
  readonly through?: readonly string[]
  readonly listen?: string
}

/** Starts one on a free port of 127.0.0.1 and waits until it says that it is ready. */
export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'tagseal-server-')))
  const listen = options.listen ?? '127.0.0.1:0'
  const command = [...(options.through ?? []), process.execPath, TAGSEAL_SERVER, '--data', data, '--listen', listen]
  const [program = process.execPath, ...args] = [...command, ...(options.args ?? ['--open'])]
  // One process starts sooner than several, and other tests are about readers.
  const env = { ...process.env, TAGSEAL_SERVER_READERS: '0', ...options.env }
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const log: string[] = []
  child.stderr.on('data', (part: Buffer) => log.push(part.toString('utf8')))
  const stop = (signal: NodeJS.Signals = 'SIGTERM') => end(child, signal)
  const remove = () => rm(data, { recursive: true, force: true })
  const url = await readyAddress(child)
  if (url === undefined) {
    await stop('SIGKILL')
    throw new Error(`tagseal-server did not start:\n${log.join('')}`)
  }
  return { url, data, log: () => log.join(''), stop, remove }
}

/** Makes a token in the data folder of a server that may be running. */
export async function createToken(data: string, name: string, repo: string, allow: string): Promise<string> {
  return await administer(['token', 'create', '--data', data, '--name', name, '--repo', repo, '--allow', allow])
}

/** The certificate by which other services know the access tokens of a server. */
export async function tokenCertificate(data: string): Promise<string> {
  return await administer(['token', 'certificate', '--data', data])
}

async function administer(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(process.execPath, [TAGSEAL_SERVER, ...args])
  if (code !== 0) throw new Error(stderr)
  return stdout.trim()
}

async function readyAddress({ stdout }: ChildProcess): Promise<string | undefined> {
  if (stdout === null) return undefined
  for await (const line of createInterface({ input: stdout })) {
    const [, url] = /listening on (https?:\/\/\S+)/.exec(line) ?? []
    if (url === undefined) continue
    stdout.resume() // a full pipe would stop it
    return url
  }
  return undefined
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await ended
}
