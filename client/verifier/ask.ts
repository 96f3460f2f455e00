import { lstat, stat } from 'node:fs/promises'
import type { Stats } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { errnoOf, errnoText } from '../trust/atomic.ts'
import type { Decision } from './decide.ts'
import { VerifierError } from './errors.ts'
import { readLine } from './line.ts'
import { parseDecision, printQuestion } from './protocol.ts'
import type { Question } from './question.ts'

const OTHERS_MAY_WRITE = 0o022
const NOBODY_THERE: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ECONNREFUSED'])

/**
 * What the agent at a socket decides; undefined where none runs, and the caller finds out by itself.
 * An agent that is there and gives no proper answer is never gone past: AGENT_UNUSABLE.
 */
export async function askAgent(path: string, question: Question): Promise<Decision | undefined> {
  let socket: Socket | undefined
  try {
    await refuseOpenFolder(path)
    socket = await connected(path)
    socket.write(printQuestion(question))
    return parseDecision(await readLine(socket))
  } catch (cause) {
    if (socket === undefined && NOBODY_THERE.has(errnoOf(cause))) return undefined
    if (cause instanceof VerifierError) throw cause
    const errno = errnoOf(cause)
    const why = errno === undefined ? (cause instanceof Error ? cause.message : String(cause)) : errnoText(errno)
    throw new VerifierError('AGENT_UNUSABLE', { path, why }, { cause })
  } finally {
    socket?.destroy()
  }
}

/** Who can put a socket there decides what is admitted: while no agent runs also where a folder is sticky, as /tmp. */
async function refuseOpenFolder(path: string): Promise<void> {
  const folder = await stat(dirname(path))
  if (isOpenToOthers(folder)) {
    throw new VerifierError('AGENT_UNUSABLE', { path, why: 'others may write to its folder' })
  }
  const found = await lstat(path)
  if (!found.isSocket()) throw new VerifierError('AGENT_UNUSABLE', { path, why: 'it is no socket' })
}

export function isOpenToOthers({ mode }: Pick<Stats, 'mode'>): boolean {
  return (mode & OTHERS_MAY_WRITE) !== 0
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}
