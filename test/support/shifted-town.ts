/** A server and clients in this process, under one clock that can be set; copied, so that each story begins alike. */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { run as runClient } from '../../client/run.ts'
import { monotonicNow } from '../../client/monotonic.ts'
import { loadSettings } from '../../server/config.ts'
import { startServer } from '../../server/start.ts'

export type ShiftedTown = {
  /** Milliseconds since 1970; written to move time. */
  readonly clock: { now: number }
  /** `tagseal` with these words, in the home of that name. */
  readonly run: (home: string, command: string) => Promise<Said>
  /** The same where a word has blanks in it. */
  readonly runWords: (home: string, words: readonly string[]) => Promise<Said>
  /** Ends the server, lets that many days pass, and starts it again. */
  readonly sleep: (days: number) => Promise<void>
  /** The same town as it is now, with everybody's memory, for another story. */
  readonly copy: () => Promise<ShiftedTown>
  readonly close: () => Promise<void>
}
export type Said = { readonly code: number; readonly stdout: string; readonly stderr: string }

const DAY_MS = 86_400_000

export async function openShiftedTown(now: number, from?: string): Promise<ShiftedTown> {
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-shifted-'))
  if (from !== undefined) await cp(from, folder, { recursive: true })
  const clock = { now }
  let server: Awaited<ReturnType<typeof startServer>> | undefined

  async function started() {
    if (server !== undefined) return server
    const flags = { data: join(folder, 'data'), listen: '127.0.0.1:0', open: true, readers: 0 }
    const settings = loadSettings({ flags, env: {} })
    const logger = pino({ level: 'silent' })
    return (server = await startServer(settings, { clock: () => clock.now, random: () => 0.5, env: {}, logger }))
  }

  async function stop(): Promise<void> {
    await server?.close()
    server = undefined
  }

  async function runWords(home: string, words: readonly string[]): Promise<Said> {
    const { url } = await started()
    const [stdout, stderr]: [string[], string[]] = [[], []]
    const env = { TAGSEAL_HOME: join(folder, home), TAGSEAL_SERVER: url, HOME: folder }
    const code = await runClient(words, {
      env,
      homeDirectory: folder,
      stdout: { write: (text: string) => stdout.push(text) },
      stderr: { write: (text: string) => stderr.push(text) },
      clock: () => clock.now,
      monotonic: monotonicNow,
      signal: new AbortController().signal,
      version: '0.0.0',
    })
    return { code, stdout: stdout.join(''), stderr: stderr.join('') }
  }

  return {
    clock,
    runWords,
    run: (home, command) => runWords(home, command.split(' ')),
    async sleep(days) {
      await stop()
      clock.now += days * DAY_MS
    },
    async copy() {
      await stop()
      return await openShiftedTown(clock.now, folder)
    },
    async close() {
      await stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
