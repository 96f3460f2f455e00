/** From whatever was thrown to what a registry answers: `{"errors":[{"code","message","detail"}]}`. */
import { failureOf } from '../exit.ts'
import { printable } from '../registry/errors.ts'
import { nextStep } from '../next-step.ts'
import { isGatewayError } from './errors.ts'
import type { AnyGatewayError, GatewayCode } from './errors.ts'

export type Refusal = {
  readonly status: number
  /** One of the distribution specification's. */
  readonly code: string
  readonly message: string
  /** The same for the log, with the next step of whoever runs this gateway. */
  readonly told: string
  /** Our own code, which says more. */
  readonly reason: string
  readonly retryAfter?: number
}

const OWN = {
  NAME_INVALID: [400, 'NAME_INVALID'],
  REGISTRY_NOT_ALLOWED: [403, 'DENIED'],
  NO_BRIDGE_KEY: [403, 'DENIED'],
  NO_REGISTRY: [403, 'DENIED'],
  READ_ONLY: [405, 'UNSUPPORTED'],
  NOT_SERVED: [404, 'UNSUPPORTED'],
  LOGIN_REQUIRED: [401, 'UNAUTHORIZED'],
  RANGE_INVALID: [416, 'RANGE_INVALID'],
  OTHER_KIND: [403, 'DENIED'],
} as const satisfies Record<GatewayCode, readonly [number, string]>

/** What is signed and not there: no refusal, and the one thing that 404 says here. */
const ABSENT: ReadonlyMap<string, string> = new Map([
  ['UNKNOWN_MANIFEST', 'MANIFEST_UNKNOWN'],
  ['UNKNOWN_BLOB', 'BLOB_UNKNOWN'],
])
const MOST_WORDS = 1000
const LONGEST_PHRASE = 300

/**
 * 403 for every no: engines that get 404 take it for an absence and look elsewhere. 503 where nothing could be found
 * out, because that may pass, or because a file of this gateway is missing. Never a 2xx, and never without words.
 */
export function refusalOf(error: unknown): Refusal {
  if (isGatewayError(error)) {
    const [status, code] = OWN[error.code]
    const said = bothWays(error, { code: error.code, exit: 1, ...hintOf(error) })
    return { status, code, ...said, reason: error.code }
  }
  const failure = failureOf(error)
  const { code, exit } = failure
  const said = bothWays(failure, failure)
  const absent = ABSENT.get(code)
  if (absent !== undefined) return { status: 404, code: absent, ...said, reason: code }
  if (code === 'RATE_LIMITED') return { status: 429, code: 'TOOMANYREQUESTS', ...said, reason: code, retryAfter: 30 }
  if (code === 'INTERNAL') {
    const message = 'tagseal: internal error'
    return { status: 500, code: 'UNKNOWN', message, told: message, reason: code }
  }
  if (exit !== 1) return { status: 503, code: 'UNAVAILABLE', ...said, reason: code, retryAfter: 5 }
  return { status: 403, code: 'DENIED', ...said, reason: code }
}

type Asked = Parameters<typeof nextStep>[0]

/** For whoever pulls, and for whoever runs this gateway and reads its log. */
function bothWays({ message }: { readonly message: string }, asked: Asked): Pick<Refusal, 'message' | 'told'> {
  const withStep = (step: string | undefined) => words(`tagseal: ${message}${step === undefined ? '' : `; ${step}`}`)
  return { message: withStep(nextStep(asked, 'this gateway')), told: withStep(asked.hint) }
}

function hintOf(error: AnyGatewayError): Pick<Asked, 'hint'> {
  return error.code === 'REGISTRY_NOT_ALLOWED' ? { hint: `add one for ${error.detail.registry}/...` } : {}
}

export function bodyOf({ code, message, reason }: Refusal): Buffer {
  return Buffer.from(`${JSON.stringify({ errors: [{ code, message, detail: { reason } }] })}\n`)
}

/** For the status line: it is all that an engine can show which asked by HEAD, and got no body. */
export function phraseOf({ code, message }: Refusal): string {
  return `${code}: ${message}`.replace(/[^\x20-\x7e]/g, '?').slice(0, LONGEST_PHRASE)
}

function words(text: string): string {
  return printable(text, MOST_WORDS)
}
