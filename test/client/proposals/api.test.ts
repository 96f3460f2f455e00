/** What a server answers about proposals is read strictly: it decides what somebody is asked to sign. */
import t from 'tap'
import { proposalsApi } from '../../../client/proposals/api.ts'
import type { ProposalsApi } from '../../../client/proposals/api.ts'
import { PublishError } from '../../../client/publish/errors.ts'
import { problemOf } from '../../../client/server-answers.ts'
import type { Json } from '../../../tuf/index.ts'

const ID = 'ab'.repeat(16)
const AT = '2026-11-24T12:00:00.000Z'
const FILE = { role: 'targets', version: 2, file: '{}', signatures: [{ keyid: 'a', sig: 'abcd' }] }
const GOOD = { id: ID, createdAt: AT, expiresAt: AT, stale: false, by: 'ci', files: [FILE] }
const SUMMARY = { ...GOOD, files: [{ role: 'targets', version: 2, signedBy: ['a'] }] }

function answering(body: Json, status = 200): ProposalsApi {
  return proposalsApi({
    server: 'https://trust.example.com',
    base: 'https://trust.example.com/v1/repositories/a/proposals',
    ask: async () => ({ status, body }),
    refusal: (reply) => {
      const { code: reason, message: why } = problemOf(reply.status, reply.body)
      return new PublishError('UPDATE_REFUSED', { repository: 'a', reason, why })
    },
  })
}
const problem = (code: string, detail: Json = {}) => ({ errors: [{ code, message: 'x', detail }] })

await t.test('a proposal is read, under the name that was asked for', async (t) => {
  const found = await answering(GOOD).get('cd'.repeat(16))
  t.match(found, {
    id: 'cd'.repeat(16),
    by: 'ci',
    stale: false,
    createdAt: Date.parse(AT),
    files: [{ role: 'targets' }],
  })
  t.same(Buffer.from(found.files[0]?.bytes ?? []).toString(), '{}')
  t.same(Buffer.from(found.files[0]?.signatures[0]?.sig ?? []).toString('hex'), 'abcd')
  t.match(await answering({ proposals: [SUMMARY] }).list(), [{ id: ID, files: [{ signedBy: ['a'] }] }])
})

const PROPOSALS: Record<string, Json> = {
  nothing: null,
  'a list': [],
  'no files': { ...GOOD, files: [] },
  'one role twice': { ...GOOD, files: [FILE, FILE] },
  'a name that leads elsewhere': { ...GOOD, id: '../../v2/x' },
  'a name in capitals': { ...GOOD, id: ID.toUpperCase() },
  'no time': { ...GOOD, expiresAt: 'soon' },
  'a time that no calendar has': { ...GOOD, createdAt: 1e20 },
  'a file that is no text': { ...GOOD, files: [{ ...FILE, file: {} }] },
  'a role without a name': { ...GOOD, files: [{ ...FILE, role: '' }] },
  'a signature that is no hex': { ...GOOD, files: [{ ...FILE, signatures: [{ keyid: 'a', sig: 'xyz' }] }] },
  'a signature in capitals': { ...GOOD, files: [{ ...FILE, signatures: [{ keyid: 'a', sig: 'ABCD' }] }] },
  'a signature of nobody': { ...GOOD, files: [{ ...FILE, signatures: [{ keyid: '', sig: 'ab' }] }] },
  'signatures that are no list': { ...GOOD, files: [{ ...FILE, signatures: {} }] },
}
for (const [name, body] of Object.entries(PROPOSALS)) {
  await t.test(`refuses ${name} for a proposal`, async (t) => {
    await t.rejects(answering(body).get(ID), { name: 'PublishError', code: 'BAD_ANSWER' })
    await t.rejects(answering(body).propose(new Map()), { code: 'BAD_ANSWER' })
    await t.rejects(answering(body).sign(ID, []), { code: 'BAD_ANSWER' })
  })
}

const LISTS: Record<string, Json> = {
  nothing: null,
  'no list': { proposals: {} },
  'an entry that is no proposal': { proposals: [1] },
  'an entry without files': { proposals: [{ ...SUMMARY, files: 'targets' }] },
  'an entry whose signers are no list': { proposals: [{ ...SUMMARY, files: [{ role: 'targets', signedBy: 'a' }] }] },
}
for (const [name, body] of Object.entries(LISTS)) {
  await t.test(`refuses ${name} for a list`, async (t) => {
    await t.rejects(answering(body).list(), { code: 'BAD_ANSWER' })
  })
}

await t.test('a conflict is told from a refusal', async (t) => {
  t.same(await answering(problem('VERSION'), 409).propose(new Map()), { kind: 'late' })
  t.same(await answering(problem('VERSION'), 409).sign(ID, []), { kind: 'late' })
  t.same(await answering(problem('PROPOSED_ALREADY', { id: ID }), 409).propose(new Map()), { kind: 'like', id: ID })
  const REFUSED: Record<string, Json> = {
    'too many proposals': problem('PROPOSALS_FULL'),
    'a like proposal without a name': problem('PROPOSED_ALREADY'),
    'a like proposal under a name that none has': problem('PROPOSED_ALREADY', { id: '../x' }),
  }
  for (const [name, body] of Object.entries(REFUSED)) {
    await t.rejects(answering(body, 409).propose(new Map()), { code: 'UPDATE_REFUSED' }, name)
  }
  const like = answering(problem('PROPOSED_ALREADY', { id: ID }), 409)
  await t.rejects(like.sign(ID, []), { code: 'UPDATE_REFUSED' }, 'which is no answer to a signature')
})
