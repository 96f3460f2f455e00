/** Programs in the process of a test, for stories of so many steps and servers that starting those would be most of them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { monotonicNow } from '../../client/monotonic.ts'
import { run } from '../../client/run.ts'
import { loadSettings } from '../../server/config.ts'
import type { Settings } from '../../server/config.ts'
import { startServer } from '../../server/start.ts'
import type { CliOptions, Ran } from './cli.ts'
import type { TestServer } from './server.ts'

/** What `tagseal` does. */
export async function tagsealHere(args: readonly string[], { env = {} }: Pick<CliOptions, 'env'> = {}): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await run(args, {
    env,
    homeDirectory: env['HOME'],
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    clock: Date.now,
    monotonic: monotonicNow,
    signal: new AbortController().signal,
    version: '0',
  })
  return { code, stdout: out.join(''), stderr: err.join('') }
}

/** What `tagseal-server` does, open to everybody unless told otherwise. It ends at once, whatever the signal. */
export async function serverHere(flags: Partial<Settings> = {}): Promise<TestServer> {
  const data = flags.data ?? (await mkdtemp(join(tmpdir(), 'tagseal-server-')))
  const settings = loadSettings({ flags: { open: true, readers: 0, listen: '127.0.0.1:0', ...flags, data }, env: {} })
  const log: string[] = []
  const logger = pino({ base: null }, { write: (line: string) => void log.push(line) })
  const server = await startServer(settings, { clock: Date.now, random: Math.random, env: {}, logger })
  let stopped: Promise<void> | undefined
  return {
    url: server.url,
    data,
    log: () => log.join(''),
    stop: () => (stopped ??= server.close()),
    remove: () => rm(data, { recursive: true, force: true }),
  }
}
