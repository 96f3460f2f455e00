import { finished } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { decodeHex, encodeHex, keyId, roleName } from '../../tuf/index.ts'
import { requireAction } from '../auth/authenticate.ts'
import type { Caller } from '../auth/authenticate.ts'
import { Problem } from '../problem.ts'
import type { Asker } from '../proposals/proposals.ts'
import { repositoryName } from '../repository-name.ts'
import type { ProposalRecord, ProposedSignature, StoredProposal } from '../storage/store.ts'
import { callerOf } from './caller.ts'
import type { AppDeps } from './deps.ts'
import { BODY_REFUSALS, INSTANT, NO_BODY, REPOSITORY, REPOSITORY_PARAMS, iso, problems } from './schema.ts'
import { withUpload } from './upload.ts'

const ID = { type: 'string', pattern: '^[0-9a-f]{32}$' } as const
const PROPOSAL_PARAMS = {
  type: 'object',
  required: ['repository', 'proposal'],
  additionalProperties: false,
  properties: { repository: REPOSITORY, proposal: ID },
} as const
const RECORD = {
  id: { ...ID, description: 'Made of the bytes that are signed, so that it names them and no others.' },
  createdAt: INSTANT,
  expiresAt: INSTANT,
  by: { type: 'string', description: 'Name of the token that began it.' },
  stale: { type: 'boolean', description: 'Another file was published in the place of one of these.' },
} as const
const REQUIRED = ['id', 'createdAt', 'expiresAt', 'stale', 'files'] as const
const FILE = { role: { type: 'string' }, version: { type: 'integer', minimum: 1 } } as const
const PROPOSAL = {
  type: 'object',
  required: REQUIRED,
  additionalProperties: false,
  properties: {
    ...RECORD,
    files: {
      type: 'array',
      items: {
        type: 'object',
        required: ['role', 'version', 'file', 'signatures'],
        additionalProperties: false,
        properties: {
          ...FILE,
          file: { type: 'string', description: 'The next file of the role, without signatures.' },
          signatures: {
            type: 'array',
            items: {
              type: 'object',
              required: ['keyid', 'sig'],
              additionalProperties: false,
              properties: { keyid: { type: 'string' }, sig: { type: 'string' } },
            },
          },
          base: {
            type: 'string',
            description: 'Of a stale one: the file that this one was made on top of, where there was one.',
          },
        },
      },
    },
  },
} as const
const ANSWER = { 200: { description: 'The proposal as it is now.', ...PROPOSAL } } as const
const READING = ['NOT_FOUND', 'INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED'] as const
const SENDING = [...READING, 'TOO_MANY_REQUESTS'] as const
const JUDGED = [
  'INVALID_ROLE',
  'INVALID_UPDATE',
  'VERSION',
  'UNKNOWN_SIGNER',
  'STORAGE_FULL',
  'UNSUPPORTED_MEDIA_TYPE',
  'TOO_LARGE',
] as const

const list = {
  operationId: 'listProposals',
  tags: ['proposals'],
  summary: 'What waits for signatures, oldest first. Nothing of it is in force.',
  security: [{ token: [] }],
  params: REPOSITORY_PARAMS,
  response: {
    200: {
      description: 'All that have not expired.',
      type: 'object',
      required: ['proposals'],
      additionalProperties: false,
      properties: {
        proposals: {
          type: 'array',
          items: {
            type: 'object',
            required: REQUIRED,
            additionalProperties: false,
            properties: {
              ...RECORD,
              files: {
                type: 'array',
                items: {
                  type: 'object',
                  required: ['role', 'version', 'signedBy'],
                  additionalProperties: false,
                  properties: { ...FILE, signedBy: { type: 'array', items: { type: 'string' } } },
                },
              },
            },
          },
        },
      },
    },
    ...problems('INVALID_REPOSITORY', 'UNAUTHORIZED', 'DENIED'),
  },
} as const

const get = {
  operationId: 'getProposal',
  tags: ['proposals'],
  summary: 'One proposal with its files, for whoever is to sign it.',
  security: [{ token: [] }],
  params: PROPOSAL_PARAMS,
  response: { ...ANSWER, ...problems(...SENDING) },
} as const

const propose = {
  operationId: 'propose',
  tags: ['proposals'],
  summary: 'Leave a publish for others to sign.',
  description:
    'Parts as in a publish: the next files of targets and delegated roles, whole, each with at least one signature by a key that may sign it. It is judged as a publish but for the number of signatures. Sent again with other signatures, these are added. The same change with another expiry is PROPOSED_ALREADY, which names the pending one.',
  security: [{ token: [] }],
  consumes: ['multipart/form-data'],
  params: REPOSITORY_PARAMS,
  response: {
    ...ANSWER,
    ...problems(
      ...READING,
      ...JUDGED,
      'MALFORMED_UPLOAD',
      'PROPOSED_ALREADY',
      'PROPOSALS_FULL',
      'TIMEOUT',
      'TOO_MANY_REQUESTS',
    ),
  },
} as const

const sign = {
  operationId: 'signProposal',
  tags: ['proposals'],
  summary: 'Add signatures to a proposal. Each must hold, and be by a key that may sign that file.',
  description:
    'Those of many files are sent in several requests. Whoever finds enough of them publishes the files, with their signatures, as any others.',
  security: [{ token: [] }],
  params: PROPOSAL_PARAMS,
  body: {
    type: 'object',
    required: ['signatures'],
    additionalProperties: false,
    properties: {
      signatures: {
        type: 'array',
        minItems: 1,
        maxItems: 64,
        items: {
          type: 'object',
          required: ['role', 'keyid', 'sig'],
          additionalProperties: false,
          properties: {
            role: { type: 'string', minLength: 1, maxLength: 255 },
            keyid: { type: 'string', minLength: 1, maxLength: 512 },
            sig: { type: 'string', pattern: '^(?:[0-9a-f]{2})+$', maxLength: 4096 },
          },
        },
      },
    },
  },
  response: { ...ANSWER, ...problems(...SENDING, ...JUDGED) },
} as const

const withdraw = {
  operationId: 'withdrawProposal',
  tags: ['proposals'],
  summary: 'Take a proposal back: whoever began it, or an administrator of the repository.',
  security: [{ token: [] }],
  params: PROPOSAL_PARAMS,
  response: {
    204: { description: 'It pends no more.', ...NO_BODY },
    ...problems(...READING, 'STORAGE_FULL', ...BODY_REFUSALS),
  },
} as const

type Params = { repository: string; proposal: string }
type SignBody = { readonly signatures: readonly { role: string; keyid: string; sig: string }[] }

/**
 * `/v1/repositories/:repository/proposals` and what is below. All of it takes `push`: what pends is not public, for it
 * may never be published, and only who publishes has a use for it.
 */
export function proposalRoutes(app: FastifyInstance, deps: AppDeps): void {
  const { auth, budget, proposals, settings } = deps
  const base = '/v1/repositories/:repository/proposals'
  const one = `${base}/:proposal`

  async function asked(request: FastifyRequest<{ Params: { repository: string } }>) {
    const repository = repositoryName(request.params.repository)
    const caller = await callerOf(auth, request)
    requireAction(caller, 'push', repository) // before a byte of a body is read
    return { repository, caller, asker: askerOf(caller, request) }
  }

  /** Its copies are in memory until whoever asked has taken them, and count as what is being received does. */
  function send(reply: FastifyReply, found: StoredProposal): FastifyReply {
    const bytes = found.files.reduce((sum, file) => sum + file.bytes.length + (file.base?.length ?? 0), 0)
    if (!budget.take(bytes)) throw new Problem('TOO_MANY_REQUESTS', { what: 'proposals' })
    finished(reply.raw, () => budget.give(bytes))
    return reply.header('cache-control', 'no-store').send(documentOf(found))
  }

  app.get<{ Params: { repository: string } }>(base, { schema: list }, async (request, reply) => {
    const { repository } = await asked(request)
    const pending = await proposals.list(repository)
    return reply.header('cache-control', 'no-store').send({ proposals: pending.map(recordOf) })
  })

  app.get<{ Params: Params }>(one, { schema: get }, async (request, reply) => {
    const { repository } = await asked(request)
    const found = await proposals.get(repository, request.params.proposal)
    return send(reply, found)
  })

  app.post<{ Params: { repository: string } }>(base, { schema: propose }, async (request, reply) => {
    const { repository, asker } = await asked(request)
    const found = await withUpload(
      deps,
      request,
      (upload) => proposals.propose({ repository, upload, ...asker }),
      settings.maxProposal,
    )
    return send(reply, found)
  })

  app.post<{ Params: Params; Body: SignBody }>(`${one}/signatures`, { schema: sign }, async (request, reply) => {
    const { repository, asker } = await asked(request)
    const signatures = request.body.signatures.map(signatureOf)
    const found = await proposals.sign({ repository, id: request.params.proposal, ...asker }, signatures)
    return send(reply, found)
  })

  app.delete<{ Params: Params }>(one, { schema: withdraw }, async (request, reply) => {
    const { repository, caller, asker } = await asked(request)
    const isAdmin = caller.allows('admin', repository)
    await proposals.withdraw({ repository, id: request.params.proposal, ...asker }, isAdmin)
    return reply.code(204).header('cache-control', 'no-store').send()
  })
}

function askerOf({ name }: Caller, { id }: FastifyRequest): Asker {
  return { request: id, ...(name === undefined ? {} : { by: name }) }
}

function signatureOf({ role, keyid, sig }: SignBody['signatures'][number]): ProposedSignature {
  const bytes = decodeHex(sig)
  if (bytes === undefined) throw new Problem('INVALID_REQUEST', { reason: 'a signature is no hex' })
  return { role: roleName(role), keyid: keyId(keyid), sig: bytes }
}

function headOf({ id, createdAt, expiresAt, by, stale }: Omit<ProposalRecord, 'files' | 'signatures'>) {
  return { id, createdAt: iso(createdAt), expiresAt: iso(expiresAt), stale, ...(by === undefined ? {} : { by }) }
}

function recordOf(record: ProposalRecord) {
  const files = record.files.map(({ role, version }) => {
    const own = record.signatures.filter((each) => each.role === role)
    return { role, version, signedBy: own.map(({ keyid }) => keyid) }
  })
  return { ...headOf(record), files }
}

function documentOf(proposal: StoredProposal) {
  const files = proposal.files.map(({ role, version, bytes, base }) => {
    const own = proposal.signatures.filter((each) => each.role === role)
    return {
      role,
      version,
      file: textOf(bytes),
      signatures: own.map(({ keyid, sig }) => ({ keyid, sig: encodeHex(sig) })),
      ...(proposal.stale && base !== undefined ? { base: textOf(base) } : {}),
    }
  })
  return { ...headOf(proposal), files }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
