import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { request } from 'node:https'
import { createInterface } from 'node:readline'
import { readAnswer } from './admission-lab.ts'
import type { Asked } from './admission-lab.ts'
import { COMPILED, TAGSEAL } from './programs.ts'

/** A running `tagseal admission`, as an API server sees it. */
export type TestAdmission = {
  readonly url: string
  readonly log: () => readonly Readonly<Record<string, unknown>>[]
  readonly ask: (task: 'mutate' | 'validate', review: object, as?: Caller) => Promise<Asked>
  readonly get: (path: string, as?: Caller) => Promise<string>
  readonly hangUp: () => void
  /** Gives what it ended by. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | NodeJS.Signals | null>
}
export type Caller = { readonly ca: string; readonly cert?: string; readonly key?: string }

export type TestAdmissionOptions = {
  readonly folder: string
  readonly args: readonly string[]
  /** PEM of the authority that callers know. */
  readonly ca: string
}

/** Starts one on a free port of 127.0.0.1 and waits until it says that it is ready. The caller stops it. */
export async function startAdmission({ folder, args, ca }: TestAdmissionOptions): Promise<TestAdmission> {
  const env = { ...COMPILED, PATH: process.env['PATH'], HOME: folder, TAGSEAL_HOME: `${folder}/home` }
  const own = ['admission', '--listen', '127.0.0.1:0', ...args]
  const child = spawn(process.execPath, [TAGSEAL, ...own], { stdio: ['ignore', 'pipe', 'pipe'], env })
  const written: string[] = []
  child.stderr.on('data', (part: Buffer) => written.push(part.toString('utf8')))
  const url = await readyAddress(child)
  if (url === undefined) {
    await end(child, 'SIGKILL')
    throw new Error(`tagseal admission did not start:\n${written.join('')}`)
  }
  const lines = () => written.join('').split('\n').slice(0, -1) // the last one may be still coming
  return {
    url,
    log: () => lines().flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : [])),
    ask: async (task, review, as = { ca }) =>
      readAnswer(await send(`${url}/${task}?timeout=10s`, { method: 'POST', body: JSON.stringify(review), as })),
    get: async (path, as = { ca }) => await send(url + path, { method: 'GET', body: '', as }),
    hangUp: () => void child.kill('SIGHUP'),
    stop: (signal = 'SIGTERM') => end(child, signal),
  }
}

type Sent = { readonly method: string; readonly body: string; readonly as: Caller }

/** Not by fetch, which shows no certificates. */
function send(url: string, { method, body, as }: Sent): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sending = request(url, { method, headers, agent: false, ...as }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => resolve(Buffer.concat(parts).toString('utf8')))
    })
    sending.on('error', reject).end(body)
  })
}

async function readyAddress({ stdout }: ChildProcess): Promise<string | undefined> {
  if (stdout === null) return undefined
  for await (const line of createInterface({ input: stdout })) {
    const [, url] = /^listening on (https:\/\/\S+)$/.exec(line) ?? []
    if (url === undefined) continue
    stdout.resume()
    return url
  }
  return undefined
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode ?? child.signalCode
  const ended = new Promise((resolve) => child.once('close', resolve))
  child.kill(signal)
  await ended
  return child.exitCode ?? child.signalCode
}
