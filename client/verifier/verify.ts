/** One question of containerd's from its arguments to the line that it shows. */
import type { Context } from '../context.ts'
import { untilAborted } from '../until-aborted.ts'
import type { Verdicts } from '../verdict/engine.ts'
import { askAgent } from './ask.ts'
import { openDeciding, refusal } from './decide.ts'
import type { Decision } from './decide.ts'
import { VerifierError } from './errors.ts'
import { readQuestion } from './question.ts'
import type { Written } from './question.ts'

export type VerifierSettings = Omit<Written, 'descriptor'> & {
  readonly policy: string | undefined
  /** The socket of an agent. */
  readonly agent: string | undefined
  readonly seconds: number
}

const MOST_STDIN = 256 * 1024

/** Never rejects, and always ends in time: containerd kills who is late, and nobody learns why the pull failed. */
export async function verifyOnce(context: Context, settings: VerifierSettings): Promise<Decision> {
  const { seconds, agent, policy } = settings
  const starting = context.age()
  let timer: NodeJS.Timeout | undefined
  const late = () =>
    new Promise<never>((_resolve, reject) => {
      const left = Math.max(seconds * 1000 - context.age(), 0)
      timer = setTimeout(() => reject(new VerifierError('TOO_SLOW', { seconds, starting })), left)
    })
  try {
    // A file that is missing is said to be missing, however late it is.
    const verdicts = agent === undefined ? await openAlone(context, policy) : undefined
    return await untilAborted(Promise.race([decide(context, settings, verdicts), late()]), context.signal)
  } catch (error) {
    return refusal(error)
  } finally {
    clearTimeout(timer)
  }
}

async function openAlone({ settings, http, sharedVerdicts }: Context, policy: string | undefined): Promise<Verdicts> {
  if (settings.ca !== undefined) await http()
  return await sharedVerdicts(policy)
}

async function decide(
  context: Context,
  { policy, agent, ...written }: VerifierSettings,
  verdicts: Verdicts | undefined,
): Promise<Decision> {
  const question = readQuestion({ ...written, descriptor: await readCapped(context.stdin()) })
  const answer = agent === undefined ? undefined : await askAgent(agent, question)
  return answer ?? (await openDeciding(verdicts ?? (await openAlone(context, policy)))(question))
}

async function readCapped(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of stream) {
    size += part.length
    if (size > MOST_STDIN)
      throw new VerifierError('QUESTION_MALFORMED', { what: 'stdin', why: 'there is too much of it' })
    parts.push(part)
  }
  return Buffer.concat(parts)
}
