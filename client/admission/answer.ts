/** What an API server is told, in the one form that it reads. */
import { failureOf } from '../exit.ts'
import { printable } from '../registry/errors.ts'
import type { Decision } from './decide.ts'
import { WEBHOOK, wordsOf } from './decide.ts'
import { nextStep } from '../next-step.ts'

const REASONS: ReadonlyMap<number, string> = new Map([
  [400, 'BadRequest'],
  [403, 'Forbidden'],
  [500, 'InternalError'],
  [503, 'ServiceUnavailable'],
])
/** Kept with every request in the audit log. */
const LONGEST_ANNOTATION = 4096
const MOST_WORDS = 1000

export function answerOf(uid: string, decision: Decision): Buffer {
  const { allowed, images } = decision
  const annotations = {
    outcome: allowed ? decision.reason : decision.code,
    ...(images.length > 0 ? { images: shortened(images.join(' ')) } : {}),
  }
  return bytesOf(uid, { allowed, ...(allowed ? goodNews(decision) : badNews(decision)), auditAnnotations: annotations })
}

function goodNews({ patches, warnings }: Decision & { readonly allowed: true }): object {
  const patch = Buffer.from(JSON.stringify(patches)).toString('base64')
  return {
    ...(patches.length > 0 ? { patchType: 'JSONPatch', patch } : {}),
    ...(warnings.length > 0 ? { warnings } : {}),
  }
}

function badNews({ status, message }: Decision & { readonly allowed: false }): object {
  return { status: { code: status, message: `tagseal: ${message}`, reason: REASONS.get(status) ?? 'Forbidden' } }
}

/** Whatever was thrown is a no, and never one without words. */
export function refusalBy(error: unknown): Decision & { readonly allowed: false } {
  const failure = failureOf(error)
  const { code, exit } = failure
  const status = code === 'INTERNAL' ? 500 : exit === 3 ? 503 : exit === 2 ? 400 : 403
  const said = (hint: string | undefined) =>
    printable(code === 'INTERNAL' ? 'internal error' : wordsOf(failure, hint), MOST_WORDS)
  const message = said(nextStep(failure, WEBHOOK))
  return { allowed: false, status, code, message, told: said(failure.hint), images: [] }
}

/** The one form of a failed call whose words an API server hands on. */
export function failureFor(status: number, reason: string, message: string): Buffer {
  const words = { message: `tagseal: ${message}`, reason, code: status }
  return Buffer.from(`${JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', ...words })}\n`)
}

function bytesOf(uid: string, response: object): Buffer {
  const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, ...response } }
  return Buffer.from(`${JSON.stringify(review)}\n`)
}

function shortened(text: string): string {
  return text.length > LONGEST_ANNOTATION ? `${text.slice(0, LONGEST_ANNOTATION)}…` : text
}
