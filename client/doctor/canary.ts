/** An image that must be refused, tried where it would be pulled. */
import { spawn } from 'node:child_process'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { isHttpError, refusesCertificate } from '../http-errors.ts'
import { printable } from '../registry/errors.ts'
import { ACCEPT } from '../registry/media-types.ts'
import type { ImageReference } from '../registry/reference.ts'
import { printImage } from '../registry/reference.ts'
import { withoutOurs } from '../settings.ts'
import type { Gateway } from './gateway.ts'

/** `refused` is what should be; `admitted` is a hole; `unknown`: it failed for another reason, which proves nothing. */
export type Trial = {
  readonly by: string
  readonly outcome: 'refused' | 'admitted' | 'unknown' | 'not tried'
  readonly words: string
  /** What to do about what kept it from being found out, where something is known. */
  readonly hint?: string | undefined
}

const MOST_BODY = 64 * 1024
const MOST_WORDS = 300
const PERHAPS_SIGNED = 'if it is signed, name another one with --canary'
const PULL_MS = 60_000
const ENGINES = ['docker', 'podman', 'containerd'] as const
export type TriedEngine = (typeof ENGINES)[number]

export function isTriedEngine(text: string): text is TriedEngine {
  return ENGINES.some((one) => one === text)
}
export const TRIED_ENGINES: readonly TriedEngine[] = ENGINES

/** The gateway as an engine would ask it. */
export async function tryGateway(context: Context, gateway: Gateway, canary: ImageReference): Promise<Trial> {
  const by = `the gateway at ${gateway.url.origin}`
  const { registry, repository, tag, digest } = canary
  const url = new URL(`/v2/${repository}/manifests/${digest ?? tag ?? 'latest'}`, gateway.url)
  url.searchParams.set('ns', registry)
  try {
    const http = await context.http()
    const response = await http.send({ url, headers: { accept: `${ACCEPT}, */*` }, signal: context.signal })
    const body = await readCapped(response.body)
    if (response.status >= 200 && response.status < 300)
      return { by, outcome: 'admitted', words: `${printImage(canary)} is given out; ${PERHAPS_SIGNED}` }
    const words = printable(wordsIn(body) ?? `status ${response.status}`, MOST_WORDS)
    // Only ours says why in its own code: a registry that knows nothing of us refuses for its own reasons.
    const isOurs = /"detail":\{"reason":"[A-Z_]+"\}/.test(body)
    // How it would be admitted is the last thing to do about a canary.
    if (response.status === 403 && isOurs) return { by, outcome: 'refused', words: words.replace(/; [^;]*$/, '') }
    return { by, outcome: 'unknown', words }
  } catch (error) {
    return { by, outcome: 'unknown', words: printable(failureOf(error).message, MOST_WORDS), hint: hintOn(error) }
  }
}

/** Where nothing usable answers, what is known to do is about trust servers. */
function hintOn(error: unknown): string | undefined {
  if (!isHttpError(error) || error.code === 'PLAIN_HTTP_REFUSED') return failureOf(error).hint
  if (error.code === 'NETWORK' && refusesCertificate(error.detail.reason)) return error.hint
  return 'is it running, and is that its address? --gateway URL names another'
}

async function readCapped(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of body) {
    parts.push(part)
    size += part.length
    if (size > MOST_BODY) break
  }
  return Buffer.concat(parts).toString('utf8')
}

function wordsIn(body: string): string | undefined {
  return /"message":"((?:[^"\\]|\\.)*)"/.exec(body)?.[1]
}

/** The engine itself, as it is configured and running here. What it pulls against our expectation is removed again. */
export async function tryEngine(
  context: Context,
  engine: TriedEngine,
  canary: ImageReference,
  hostsFolder: string,
): Promise<Trial> {
  const image = printImage(canary)
  const { pull, alive, remove, has } = COMMANDS[engine](image, hostsFolder)
  const run = async (words: readonly string[]) => await runQuietly(context, words)
  const running = await run(alive)
  if (running.code !== 0) return { by: engine, outcome: 'not tried', words: printable(running.last, MOST_WORDS) }
  if ((await run(has)).code === 0) {
    return {
      by: engine,
      outcome: 'not tried',
      words: `${image} is in its store already; name another one with --canary`,
    }
  }
  const { code, words } = await run(pull)
  if (code === 0) {
    await run(remove)
    return { by: engine, outcome: 'admitted', words: `${image} was pulled; ${PERHAPS_SIGNED}` }
  }
  return { by: engine, outcome: isRefusal(words) ? 'refused' : 'unknown', words: printable(words, MOST_WORDS) }
}

/** The gateway's own words, its status where an engine shows no more, or the proxy that is nobody. */
function isRefusal(words: string): boolean {
  return /tagseal: |403 Forbidden|127\.0\.0\.1:9:|rejected by policy|is rejected/i.test(words)
}

type Commands = {
  readonly alive: readonly string[]
  readonly has: readonly string[]
  readonly pull: readonly string[]
  readonly remove: readonly string[]
}
const NAMESPACE = ['ctr', '--namespace', 'tagseal-doctor', 'images']
const COMMANDS: Readonly<Record<TriedEngine, (image: string, hostsFolder: string) => Commands>> = {
  docker: (image) => ({
    alive: ['docker', 'version'],
    has: ['docker', 'image', 'inspect', image],
    pull: ['docker', 'pull', '--quiet', image],
    remove: ['docker', 'image', 'rm', image],
  }),
  podman: (image) => ({
    alive: ['podman', 'version'],
    has: ['podman', 'image', 'exists', image],
    pull: ['podman', 'pull', '--quiet', image],
    remove: ['podman', 'image', 'rm', image],
  }),
  containerd: (image, hostsFolder) => ({
    alive: ['ctr', 'version'],
    has: ['false'], // in a namespace of its own nothing is kept
    pull: [...NAMESPACE, 'pull', '--hosts-dir', hostsFolder, image],
    remove: [...NAMESPACE, 'remove', image],
  }),
}

/** `last`: the last line of what it complained about. */
type Ran = { readonly code: number; readonly words: string; readonly last: string }

function runQuietly({ env, signal }: Context, [program = '', ...args]: readonly string[]) {
  return new Promise<Ran>((resolve) => {
    const options = { env: withoutOurs(env), signal, timeout: PULL_MS } as const
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    const [parts, errors]: [Buffer[], Buffer[]] = [[], []]
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => parts.push(part))
    child.stderr.on('data', (part: Buffer) => errors.push(part))
    child.on('error', ({ message }) => resolve({ code: 127, words: message, last: message }))
    child.on('close', (code) => {
      const text = Buffer.concat(parts).toString('utf8')
      const complaint = errors.length > 0 ? Buffer.concat(errors).toString('utf8') : text
      resolve({ code: code ?? 1, words: lastLines(text, 3), last: lastLines(complaint, 1) })
    })
  })
}

function lastLines(text: string, most: number): string {
  return text.trim().split('\n').slice(-most).join(' ')
}
