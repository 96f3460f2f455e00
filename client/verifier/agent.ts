/** Answers the verifiers of this machine from memory, so that a pull does not wait for a refresh. */
import { chmod, lstat, stat, unlink } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { dirname } from 'node:path'
import { CommandError } from '../commands/errors.ts'
import { errnoOf } from '../trust/atomic.ts'
import { printImage } from '../registry/reference.ts'
import { isOpenToOthers } from './ask.ts'
import type { Decide, Decision } from './decide.ts'
import { refusal } from './decide.ts'
import { VerifierError } from './errors.ts'
import { readLine } from './line.ts'
import { parseQuestion, printDecision } from './protocol.ts'
import type { Question } from './question.ts'

export type AgentOptions = {
  readonly path: string
  readonly decide: Decide
  readonly monotonic: () => number
  /** One line for each verdict. */
  readonly log: (entry: Readonly<Record<string, unknown>>) => void
}
export type Agent = { readonly close: () => Promise<void> }

/** Whoever asks has written down the question before they connect. */
const SILENCE_MS = 10_000
const MOST_CONNECTIONS = 1024
const BACKLOG = 1024
/** Only the user of the agent, and root, may ask: others could learn which images are admitted here. */
const OWNER_ONLY = 0o600

/** Throws IO where the socket cannot be had, and where somebody else answers there. */
export async function openAgent({ path, decide, monotonic, log }: AgentOptions): Promise<Agent> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.setTimeout(SILENCE_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => open.delete(socket))
    void answer(socket)
  })
  server.maxConnections = MOST_CONNECTIONS

  async function answer(socket: Socket): Promise<void> {
    const began = monotonic()
    const asked = await readAsked(socket)
    const decision = 'image' in asked ? await decide(asked) : asked
    tell(asked, decision, monotonic() - began)
    if (!socket.destroyed) socket.end(printDecision(decision))
  }

  function tell(asked: Question | Decision, { exit, code, reason }: Decision, took: number): void {
    log({
      event: 'verdict',
      outcome: exit === 0 ? 'admitted' : 'refused',
      asked: 'verifier',
      ...('image' in asked ? { image: printImage(asked.image), digest: asked.digest } : {}),
      reason: code,
      message: reason,
      ms: Math.round(took * 1000) / 1000,
    })
  }

  await refuseFolder(dirname(path))
  await removeDead(path)
  await listen(server, path)
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of open) if (socket.bytesRead === 0) socket.destroy()
      await closed
    },
  }
}

async function readAsked(socket: Socket): Promise<Question | Decision> {
  try {
    return parseQuestion(await readLine(socket))
  } catch (cause) {
    if (cause instanceof VerifierError) return refusal(cause)
    const why = cause instanceof Error ? cause.message : String(cause)
    return refusal(new VerifierError('QUESTION_MALFORMED', { what: 'the question', why }, { cause }))
  }
}

async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new CommandError('IO', { what: path, why: errnoOf(cause) ?? cause.message })),
    )
    server.listen({ path, backlog: BACKLOG }, resolve)
  })
  await chmod(path, OWNER_ONLY)
}

/** Where verifiers would take no answer from anyway. Taking rights away from a folder such as /tmp breaks the machine. */
async function refuseFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() !== true) throw new CommandError('IO', { what: folder, why: 'there is no such folder' })
  if (!isOpenToOthers(found)) return
  throw new CommandError('IO', {
    what: folder,
    why: 'others may write to it, and no verifier asks there',
    next: 'name a socket in a folder of its own, which only its user may write to, as /run/tagseal/agent.sock',
  })
}

/** A socket that nobody listens at is what an agent leaves that was killed. Nothing else is ever removed. */
async function removeDead(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (found === undefined) return
  if (!found.isSocket()) throw new CommandError('IO', { what: path, why: 'something is there that is no socket' })
  if (await isAnswered(path)) throw new CommandError('IO', { what: path, why: 'another agent answers there' })
  await unlink(path)
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => resolve(true) ?? socket.destroy())
    socket.once('error', (error) => resolve(errnoOf(error) !== 'ECONNREFUSED'))
  })
}
