/** Pieces that the routes' schemas share. `openapi.yaml` is made of the same objects. */
import type { Settings } from '../config.ts'
import { STATUS } from '../problem.ts'
import type { ProblemCode } from '../problem.ts'

export const REPOSITORY = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  description:
    'Name of the image repository, such as `registry.example.com/team/app`. Its slashes may stand as they are or as `%2F`.',
} as const

/** Of every route that is about one repository and nothing else. */
export const REPOSITORY_PARAMS = {
  type: 'object',
  required: ['repository'],
  additionalProperties: false,
  properties: { repository: REPOSITORY },
} as const

export const VERSIONS = {
  type: 'object',
  additionalProperties: { type: 'integer', minimum: 1 },
  description: 'The version of every role, by its name.',
} as const

export const INSTANT = { type: 'string', description: 'ISO 8601, UTC, to the millisecond.' } as const
export const SHA256 = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const

/** In a query everything is text. */
export const LIMIT = {
  type: 'string',
  pattern: '^[1-9]\\d{0,3}$',
  description: 'How many at most: 1 to 1000; 100 where it is not given.',
} as const

export const NO_BODY = { type: 'null' } as const

/** The refusals a route may answer with, by status. Each names the codes that its body may carry. */
export function problems(...codes: readonly ProblemCode[]): Readonly<Record<string, object>> {
  const byStatus = new Map<number, ProblemCode[]>()
  const keys: readonly ProblemCode[] = codes.includes('UNAUTHORIZED') ? ['UNAVAILABLE'] : [] // those of a token issuer
  for (const code of [...codes, ...keys, ...EVERYWHERE]) {
    const status = STATUS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  return Object.fromEntries([...byStatus].map(([status, each]) => [String(status), problemSchema([...new Set(each)])]))
}

/** Any request can be malformed, met by a full or broken disk, by a backup that was put back, or by a mistake of ours. */
const EVERYWHERE: readonly ProblemCode[] = ['INVALID_REQUEST', 'STORAGE_UNAVAILABLE', 'RESTORED', 'INTERNAL']

/** Of a request that may have a JSON body, whether or not one is wanted. */
export const BODY_REFUSALS: readonly ProblemCode[] = ['UNSUPPORTED_MEDIA_TYPE', 'TOO_LARGE']

/** The body of a refusal with one of these codes. */
export function problemSchema(codes: readonly string[]) {
  return {
    description: codes.join(', '),
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
          required: ['code', 'message', 'detail'],
          additionalProperties: false,
          properties: {
            code: { type: 'string', enum: [...codes] },
            message: { type: 'string', description: 'For people; it may change.' },
            detail: { type: 'object', additionalProperties: true, description: 'The facts behind the code.' },
          },
        },
      },
    },
  }
}

/** May be kept, and must be asked for again; on a private server by the reader alone. */
export function askAgain({ private: hidden }: Settings): string {
  return hidden ? 'private, no-cache' : 'no-cache'
}

export function limitOf(text: string | undefined): number {
  return text === undefined ? 100 : Math.min(Number(text), 1000)
}

export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
