/** A scratch `tagseal-server`: the program itself, on this machine, on a free port, in a folder that goes with it. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { withoutOurs } from '../settings.ts'
import type { Environment } from '../settings.ts'
import { CommandError } from '../commands/errors.ts'

export type ScratchServer = { readonly url: string; readonly close: () => Promise<void> }

/** The program of the server that came with this one; else the one that is on the path. */
export function serverProgram(started: string | undefined): string {
  const folder = dirname(started ?? '')
  const beside = ['tagseal-server.cjs', 'tagseal-server.mjs', '../server/main.ts'].map((name) => join(folder, name))
  return beside.find(existsSync) ?? 'tagseal-server'
}

/** Throws DRILL_FAILED where it does not begin to listen. */
export async function startScratchServer(program: string, data: string, env: Environment): Promise<ScratchServer> {
  const words = ['--data', data, '--listen', '127.0.0.1:0', '--open']
  const [command, ...args] = /\.[cm]?[jt]s$/.test(program) ? [process.execPath, program, ...words] : [program, ...words]
  const child = spawn(command ?? '', args, { stdio: ['ignore', 'pipe', 'ignore'], env: withoutOurs(env) })
  const failed = once(child, 'error').then(() => undefined)
  const url = await Promise.race([addressOf(child), failed])
  if (url === undefined) {
    await end(child)
    throw new CommandError('DRILL_FAILED', { what: `${program} did not start` })
  }
  return { url, close: async () => await end(child) }
}

async function addressOf({ stdout }: ChildProcess): Promise<string | undefined> {
  if (stdout === null) return undefined
  for await (const line of createInterface({ input: stdout })) {
    const [, url] = /listening on (https?:\/\/\S+)/.exec(line) ?? []
    if (url === undefined) continue
    stdout.resume() // a full pipe would stop it
    return url
  }
  return undefined
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await exited
  clearTimeout(late)
}
