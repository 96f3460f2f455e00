/** Refusals as `notary-server` words them: its codes and statuses, and a `detail` that its clients print. */
import { STATUS } from './problem.ts'
import type { Problem, ProblemCode } from './problem.ts'

export type NotaryAnswer = { readonly status: number; readonly body: string }

/** Its clients read no further, and understand nothing of an answer that was cut. */
const MOST_BYTES = 1024

const MESSAGE = {
  INVALID_ROLE: 'The role you are attempting to operate on is invalid.',
  NO_FILENAME: 'No file/role name provided.',
  MALFORMED_JSON: 'JSON sent by the client could not be parsed by the server',
  MALFORMED_UPLOAD: 'The body of your request is malformed.',
  INVALID_UPDATE: 'Update sent by the client is invalid.',
  VERSION: 'A newer version of metadata is already available.',
  METADATA_NOT_FOUND: 'You have requested metadata that does not exist.',
  GENERIC_NOT_FOUND: 'You have requested a resource that does not exist.',
  INVALID_GUN: 'The server does not support actions on images of this name.',
  INVALID_PARAMETERS: 'The parameters provided are not valid.',
  UNAUTHORIZED: 'authentication required',
  UPDATING: 'An error has occurred while updating the TUF repository.',
  UNKNOWN: 'unknown error',
} as const
type NotaryCode = keyof typeof MESSAGE

/** Their statuses are 400 where a client shall print the detail; it prints nothing but the number of any other. */
const CODE = {
  UNAUTHORIZED: 'UNAUTHORIZED',
  DENIED: 'UNAUTHORIZED',
  METADATA_NOT_FOUND: 'METADATA_NOT_FOUND',
  NOT_FOUND: 'METADATA_NOT_FOUND',
  INVALID_REPOSITORY: 'INVALID_GUN',
  INVALID_REQUEST: 'INVALID_PARAMETERS',
  INVALID_PARAMETERS: 'INVALID_PARAMETERS',
  MALFORMED_UPLOAD: 'MALFORMED_UPLOAD',
  INVALID_ROLE: 'INVALID_ROLE',
  INVALID_UPDATE: 'INVALID_UPDATE',
  VERSION: 'VERSION',
  SNAPSHOT_CHANGED: 'VERSION',
  PROPOSED_ALREADY: 'INVALID_PARAMETERS',
  PROPOSALS_FULL: 'INVALID_PARAMETERS',
  UNKNOWN_SIGNER: 'INVALID_PARAMETERS',
  NAME_TAKEN: 'INVALID_PARAMETERS',
  TOO_LARGE: 'MALFORMED_UPLOAD',
  HEADERS_TOO_LARGE: 'INVALID_PARAMETERS',
  UNSUPPORTED_MEDIA_TYPE: 'MALFORMED_UPLOAD',
  TIMEOUT: 'UNKNOWN',
  TOO_MANY_REQUESTS: 'UPDATING',
  UNAVAILABLE: 'UNKNOWN',
  RESTORED: 'UNKNOWN',
  SIGNING_UNAVAILABLE: 'UPDATING',
  STORAGE_FULL: 'UPDATING',
  STORAGE_UNAVAILABLE: 'UNKNOWN',
  INTERNAL: 'UNKNOWN',
} as const satisfies Record<ProblemCode, NotaryCode>

/** The body of such an answer. `detail` has the name of an error and its message where the old clients print them. */
export const NOTARY_REFUSAL = {
  description: 'As notary-server says it, to its clients and on repositories of their dialect.',
  type: 'object',
  required: ['errors'],
  additionalProperties: false,
  properties: {
    errors: {
      type: 'array',
      minItems: 1,
      maxItems: 1,
      items: {
        type: 'object',
        required: ['code', 'message'],
        additionalProperties: false,
        properties: { code: { type: 'string', enum: Object.keys(MESSAGE) }, message: { type: 'string' }, detail: {} },
      },
    },
  },
} as const

const PRINTED: ReadonlySet<NotaryCode> = new Set([
  'INVALID_ROLE',
  'NO_FILENAME',
  'MALFORMED_JSON',
  'MALFORMED_UPLOAD',
  'INVALID_UPDATE',
  'VERSION',
  'INVALID_GUN',
  'INVALID_PARAMETERS',
])

export function notaryAnswer(problem: Problem): NotaryAnswer {
  const code = codeOf(problem)
  return { status: statusOf(problem, code), body: bodyOf(code, problem) }
}

function statusOf({ code }: Problem, told: NotaryCode): number {
  if (PRINTED.has(told)) return 400
  return told === 'UNAUTHORIZED' ? 401 : STATUS[code]
}

function codeOf({ code, detail }: Problem): NotaryCode {
  if (code === 'MALFORMED_UPLOAD' && 'missing' in detail) return 'NO_FILENAME'
  if (code === 'INVALID_UPDATE' && isBrokenJson(detail)) return 'MALFORMED_JSON'
  // notary-server takes any such name for a role, and refuses the update because nobody delegates to it.
  if (code === 'INVALID_ROLE' && 'role' in detail && String(detail.role).startsWith('targets/')) return 'INVALID_UPDATE'
  return CODE[code]
}

function isBrokenJson(detail: object): boolean {
  return 'code' in detail && detail.code === 'MALFORMED' && 'what' in detail && !String(detail.what).includes('.')
}

/** As long as it fits: a client that cannot read the whole answer says nothing of why. */
function bodyOf(code: NotaryCode, problem: Problem): string {
  const { detail, message } = problem
  const why = 'reason' in detail && problem.code === 'INVALID_UPDATE' ? detail.reason : message
  for (let length = why.length; ; length = Math.floor(length * 0.8)) {
    const text = printed(code, detailOf(code, problem, why.slice(0, length)))
    if (Buffer.byteLength(text) <= MOST_BYTES || length === 0) return text
  }
}

function printed(code: NotaryCode, detail: unknown): string {
  return `${JSON.stringify({ errors: [{ code, message: MESSAGE[code], detail }] })}\n`
}

function detailOf(code: NotaryCode, problem: Problem, text: string): unknown {
  if (code === 'METADATA_NOT_FOUND') return {}
  if (code === 'UNAUTHORIZED') return []
  if (!PRINTED.has(code)) return undefined
  const Name = nameOf(problem)
  return { Name, Error: { Msg: text, ...(Name === 'ErrBadHierarchy' ? { Missing: 'snapshot' } : {}) } }
}

type ErrorName = 'ErrValidation' | 'ErrBadHierarchy' | 'ErrBadRoot' | 'ErrBadTargets' | 'ErrBadSnapshot'

/** Of those whose facts do not name the file that is at fault. */
const NAME: ReadonlyMap<unknown, ErrorName> = new Map([
  ['SNAPSHOT_MISSING', 'ErrBadHierarchy'],
  ['SNAPSHOT_DANGLING', 'ErrBadSnapshot'],
  ['HASH_MISMATCH', 'ErrBadSnapshot'],
  ['ROOT_CERTIFICATE', 'ErrBadRoot'],
  ['KEY_NOT_HELD', 'ErrBadRoot'],
  ['ONLINE_THRESHOLD', 'ErrBadRoot'],
])

/** What they call it decides what a client puts in front of the text. */
function nameOf({ code, detail }: Problem): ErrorName {
  if (code !== 'INVALID_UPDATE' && code !== 'INVALID_ROLE') return 'ErrValidation'
  const known = 'code' in detail ? NAME.get(detail.code) : undefined
  if (known !== undefined) return known
  const subject = 'role' in detail ? detail.role : 'what' in detail ? detail.what : undefined
  const [, role] = /^(root|targets|snapshot)\b/.exec(String(subject)) ?? []
  if (role === 'root') return 'ErrBadRoot'
  return role === 'targets' ? 'ErrBadTargets' : role === 'snapshot' ? 'ErrBadSnapshot' : 'ErrValidation'
}
