/** Reviews in, answers out. Whatever goes wrong is a no. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AdmissionError, isAdmissionError } from './errors.ts'
import { answerOf, failureFor, refusalBy } from './answer.ts'
import { readBody } from './body.ts'
import { decide } from './decide.ts'
import type { Decision, Task } from './decide.ts'
import type { AdmissionMetrics } from './metrics.ts'
import type { Namespaces } from './namespaces.ts'
import { LONGEST_NAME, metadataOf, parseReview, readReview, uidOf } from './review.ts'
import type { Review } from './review.ts'
import { openRoom } from './room.ts'
import type { Share } from './room.ts'

export type WebhookOptions = {
  readonly namespaces: Namespaces
  readonly metrics: AdmissionMetrics
  readonly monotonic: () => number
  /** When the answer is no, in milliseconds. */
  readonly patience: number
  /** What reviews under way may take together, in bytes. */
  readonly memory: number
  /** One line for each verdict. */
  readonly log: (entry: Readonly<Record<string, unknown>>) => void
}
export type Webhook = {
  /** Never rejects. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>
  /** `/readyz` says no from now on; everything else is answered. */
  readonly drain: () => void
}

/** A review on its way in. */
type Coming = {
  readonly request: IncomingMessage
  readonly share: Share
  /** When its answer is no, in milliseconds. */
  readonly most: number
}

const TASKS: ReadonlyMap<string, Task> = new Map([
  ['/mutate', 'mutate'],
  ['/validate', 'validate'],
])
/** Of the time that the API server says it waits, so much is for the way. */
const FOR_THE_WAY_MS = 500
const MOST_LOGGED = 50

export function openWebhook({ namespaces, metrics, monotonic, patience, memory, log }: WebhookOptions): Webhook {
  const room = openRoom(memory)
  let draining = false

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '', query] = (request.url ?? '').split('?')
    const task = TASKS.get(path)
    if (task !== undefined && request.method === 'POST') {
      const waits = patienceOf(new URLSearchParams(query).get('timeout'))
      const share = room.open()
      try {
        await review(task, { request, share, most: Math.min(patience, waits) }, response)
      } finally {
        share.close()
      }
    } else if (request.method === 'GET' || request.method === 'HEAD') {
      await tellHealth(path, response)
    } else {
      throw new AdmissionError('NOT_A_REVIEW', { why: 'POST it to /mutate or /validate' })
    }
  }

  async function review(task: Task, coming: Coming, response: ServerResponse): Promise<void> {
    const began = monotonic()
    const document = parseReview(await readBody(coming.request, coming.share, coming.most))
    const uid = uidOf(document)
    if (uid === undefined) throw new AdmissionError('REVIEW_MALFORMED', { what: 'request.uid', why: 'it is missing' })
    const { asked, decision } = await decideInTime(() => readReview(document), task, coming)
    const took = monotonic() - began
    tell(task, asked, decision, took)
    send(response, task, 200, 'application/json', answerOf(uid, decision))
  }

  async function decideInTime(read: () => Review, task: Task, { share, most }: Coming) {
    let asked: Review | undefined
    try {
      asked = read()
      const work = judged(asked, task)
      share.keepFor(work)
      return { asked, decision: await within(most, work) }
    } catch (error) {
      const decision = refusalBy(error)
      tellBug(decision.code, error)
      return { asked, decision }
    }
  }

  async function judged(asked: Review, task: Task): Promise<Decision> {
    const judge = await namespaces.judgeOf(asked.namespace)
    return await decide(asked, task, { judge, workloads: namespaces.policy().workloads })
  }

  function tell(task: Task, asked: Review | undefined, decision: Decision, took: number): void {
    const outcome = decision.allowed ? 'admitted' : 'refused'
    const reason = decision.allowed ? decision.reason : decision.code
    metrics.verdict(task, outcome, reason, took / 1000)
    log({
      event: 'verdict',
      webhook: task,
      outcome,
      ...(asked === undefined ? {} : shown(asked)),
      images: decision.images.slice(0, MOST_LOGGED),
      ...(decision.allowed ? { patched: decision.patches.length } : { message: decision.told }),
      reason,
      ms: Math.round(took * 1000) / 1000,
    })
  }

  function tellBug(code: string, error: unknown): void {
    if (code !== 'INTERNAL') return
    log({ event: 'bug', message: error instanceof Error ? error.stack : String(error) })
  }

  async function tellHealth(path: string, response: ServerResponse): Promise<void> {
    const ok = Buffer.from('ok\n')
    if (path === '/healthz') return send(response, 'health', 200, 'text/plain', ok)
    if (path === '/readyz') {
      return send(response, 'ready', draining ? 503 : 200, 'text/plain', draining ? Buffer.from('draining\n') : ok)
    }
    if (path === '/metrics') {
      return send(response, 'metrics', 200, metrics.contentType, Buffer.from(await metrics.text()))
    }
    throw new AdmissionError('NOT_A_REVIEW', { why: 'POST it to /mutate or /validate' })
  }

  function send(response: ServerResponse, kind: string, status: number, type: string, bytes: Buffer): void {
    metrics.request(kind, status)
    if (response.destroyed) return
    response.writeHead(status, { 'content-type': type, 'content-length': bytes.length, 'cache-control': 'no-store' })
    response.end(response.req.method === 'HEAD' ? undefined : bytes)
  }

  /** What has no identifier to answer to: for an API server it is a failed call, which refuses as well. */
  function sendFailure(response: ServerResponse, error: unknown): void {
    const { code, message, told, status } = refusalBy(error)
    tellBug(code, error)
    const own = isAdmissionError(error) && error.code === 'REVIEW_TOO_LARGE' ? 413 : status
    log({ event: 'verdict', outcome: 'refused', reason: code, message: told })
    response.setHeader('connection', 'close') // what else was sent is not read
    if (code === 'TOO_BUSY') response.setHeader('retry-after', '1') // API servers then ask again by themselves
    send(response, 'none', own, 'application/json', failureFor(own, code, message))
  }

  return {
    async handle(request, response) {
      try {
        await answer(request, response)
      } catch (error) {
        sendFailure(response, error)
      }
    },
    drain() {
      draining = true
    },
  }
}

function shown({ operation, resource, subresource, namespace, name, user, dryRun, object }: Review): object {
  const called = { name: name || nameIn(object).slice(0, LONGEST_NAME) }
  return {
    operation,
    resource,
    ...(subresource && { subresource }),
    namespace,
    ...called,
    user,
    ...(dryRun && { dryRun }),
  }
}

/** Before something is stored, the request itself may be without its name; one that is yet to be made up ends with `*`. */
function nameIn(object: Review['object']): string {
  if (object === undefined) return ''
  const prefix = metadataOf(object, 'generateName')
  return metadataOf(object, 'name') ?? (prefix === undefined ? '' : `${prefix}*`)
}

/** `10s`, as API servers write it. */
function patienceOf(timeout: string | null): number {
  const [, seconds] = /^([0-9]{1,2})s$/.exec(timeout ?? '') ?? []
  return seconds === undefined ? Number.POSITIVE_INFINITY : Math.max(Number(seconds) * 1000 - FOR_THE_WAY_MS, 0)
}

/** What is late is not lost: it goes on, and whoever asks next finds it done. */
async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new AdmissionError('TOO_SLOW', { seconds: milliseconds / 1000 })), milliseconds)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
