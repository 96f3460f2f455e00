import { spawn } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Certificate } from './certificate.ts'
import { run } from './measure.ts'
import type { Program } from './measure.ts'

export const DIST = fileURLToPath(new URL('../dist/bin/', import.meta.url))

export type Ours = {
  readonly url: string
  readonly tagseal: (...args: string[]) => Program
  /** What the client cached of every repository; its keys and pins stay. */
  readonly forget: () => Promise<void>
  /** What the client remembers for a minute of its own doings: as if that minute were over. */
  readonly pause: () => Promise<void>
  readonly close: () => Promise<void>
}

/** The built server on SQLite, with its usual durability, and a client home beside it. */
export async function startOurs(dir: string, tls: Certificate | undefined): Promise<Ours> {
  await mkdir(dir, { recursive: true })
  const certificate = tls === undefined ? [] : ['--tls-cert', tls.cert, '--tls-key', tls.key]
  const server = spawn(
    process.execPath,
    [
      join(DIST, 'tagseal-server.cjs'),
      '--data',
      join(dir, 'data'),
      '--listen',
      '127.0.0.1:0',
      '--open',
      ...certificate,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const url = await readyAddress(server.stdout)
  const passphrase = join(dir, 'passphrase')
  await writeFile(passphrase, 'a passphrase of the benchmark\n', { mode: 0o600 })
  const trusted = tls === undefined ? [] : ['--ca', tls.ca]
  const home = join(dir, 'home')
  return {
    url,
    tagseal: (...args) => ({
      command: process.execPath,
      args: [
        join(DIST, 'tagseal.cjs'),
        '--home',
        home,
        '--server',
        url,
        ...trusted,
        '--passphrase-file',
        passphrase,
        ...args,
      ],
    }),
    async forget() {
      await rm(join(home, 'state'), { recursive: true, force: true })
    },
    async pause() {
      const state = join(home, 'state')
      for (const repository of await readdir(state)) {
        await rm(join(state, repository, 'checked'), { force: true })
        await age(join(state, repository, 'published'))
      }
    },
    async close() {
      const ended = new Promise((resolve) => server.on('close', resolve))
      server.kill('SIGTERM')
      await ended
    },
  }
}

/** Its first word says when it was written. */
async function age(file: string): Promise<void> {
  const text = await readFile(file, 'latin1').catch(() => undefined) // not published to yet
  if (text !== undefined) await writeFile(file, text.replace(/^\d+/, '1'), 'latin1')
}

export async function build(): Promise<void> {
  await run({ command: 'npm', args: ['run', '--silent', 'build'] })
}

/** The first address that a program prints. */
export async function readyAddress(stdout: AsyncIterable<Buffer>): Promise<string> {
  let text = ''
  for await (const part of stdout) {
    text += part.toString('utf8')
    const url = /https?:\/\/\S+/.exec(text)?.[0]
    if (url !== undefined && text.includes('\n')) return url
  }
  throw new Error(`tagseal-server ended before it was ready: ${text}`)
}
