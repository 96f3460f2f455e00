import { isProposalId } from '../proposals/api.ts'
import type { PendingProposal } from '../proposals/api.ts'
import { isComplete, review, waitingFor } from '../proposals/review.ts'
import type { Reviewed } from '../proposals/review.ts'
import { settle } from '../proposals/settle.ts'
import type { Settled } from '../proposals/settle.ts'
import { openDesk } from '../publish/desk.ts'
import { isPublishError, PublishError } from '../publish/errors.ts'
import type { Desk } from '../publish/publish.ts'
import { allRoles } from '../publish/standing.ts'
import type { Standing } from '../publish/standing.ts'
import { parseRepo } from '../registry/reference.ts'
import { refuseMissing } from './approve-images.ts'
import type { Asking } from './approve-images.ts'
import { listPending } from './approve-list.ts'
import { renewed } from './approve-renew.ts'
import { reviewDocument, reviewText } from './approve-text.ts'
import { any, defineCommand, flag, list, one } from './declare.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'

export const approveCommand = defineCommand({
  operands: {
    REPO: one('the image repository, without a tag'),
    PROPOSAL: any('the proposal, or the beginning of its name; without one, what waits for the keys here is listed'),
  },
  options: {
    yes: flag('sign it; without this it is only shown'),
    key: list('ID', 'sign with this key; may be repeated'),
    'without-registry': flag('do not look whether the registry has the images'),
    renew: flag('make a stale one again on top of what is there now; the signatures begin anew'),
    withdraw: flag('take it back'),
    list: flag('list everything that waits, whoever is to sign it'),
  },
  examples: [
    'tagseal approve registry.example.com/team/app',
    'tagseal approve registry.example.com/team/app 3f9a2c71d04be86a',
    'tagseal approve registry.example.com/team/app 3f9a2c71d04be86a5b1c9d0e7f428a63 --yes',
    'tagseal approve registry.example.com/team/app 3f9a2c71 --withdraw',
  ],
  notes: [
    'What a proposal changes is computed from its files and from what is published, and not told by the server. Its name',
    'is made of its bytes: with --yes, and the whole name, exactly what was shown is signed. With the last signature that',
    'it needs it is published.',
  ].join('\n'),
  async run(context, input) {
    const repo = parseRepo(input.one('REPO'))
    const [given, ...more] = input.many('PROPOSAL')
    const asked = (['yes', 'renew', 'withdraw'] as const).filter((option) => input.flag(option))
    if (more.length > 0) throw usage('one proposal at a time', `tagseal approve ${repo.name} PROPOSAL`)
    if (asked.includes('withdraw') && asked.length > 1) throw usage('--withdraw goes with nothing else')
    if (given !== undefined && input.flag('list')) throw usage('--list goes without a proposal')
    if (given === undefined && asked.length > 0) throw usage(`--${asked[0]} needs the name of a proposal`)
    const desk = await openDesk(context, repo.name, { keys: input.list('key') })
    try {
      if (given === undefined) return await listPending(context.terminal, desk, repo.name, input.flag('list'))
      const id = await fullName(desk, repo.name, given)
      if (input.flag('withdraw')) return await withdrawn(desk, repo.name, id)
      const yes = input.flag('yes')
      if (yes && given !== id) throw usage('--yes signs what is named whole', `look at it, and name it: ${id}`)
      const asking = { context, desk, repo, yes, inRegistry: !input.flag('without-registry') }
      const pending = await desk.server.proposals.get(id)
      return input.flag('renew') ? await renewed(asking, pending) : await approved(asking, pending)
    } finally {
      desk.close()
    }
  },
})

async function fullName({ server }: Desk, repository: string, given: string): Promise<string> {
  if (isProposalId(given)) return given
  if (!/^[0-9a-f]{4,31}$/.test(given))
    throw usage(`${given} is no name of a proposal`, `tagseal approve ${repository} --list`)
  const found = (await server.proposals.list()).filter(({ id }) => id.startsWith(given))
  const [only] = found
  if (only === undefined) throw usage(`no proposal begins with ${given}`, `tagseal approve ${repository} --list`)
  if (found.length > 1) throw usage(`${found.length} proposals begin with ${given}`, 'give more of its name')
  return only.id
}

async function withdrawn({ server }: Desk, repository: string, id: string): Promise<Answer> {
  try {
    await server.proposals.withdraw(id)
  } catch (error) {
    if (!isPublishError(error) || error.code !== 'DENIED') throw error
    const { by } = await server.proposals.get(id)
    throw new PublishError('PROPOSAL_OF_OTHERS', { proposal: id, by }, { cause: error })
  }
  return { lines: [`withdrew ${id}`], document: { repository, proposal: id, withdrawn: true } }
}

async function approved(asking: Asking, pending: PendingProposal): Promise<Answer> {
  const { desk, yes } = asking
  const standing = await desk.standing()
  const reviewed = await review(standing, desk, pending)
  show(asking, standing, reviewed)
  await refuseMissing(asking, reviewed.changes)
  if (!yes) return undecided(asking, reviewed)
  refuseStranger(desk, reviewed)
  return await settledAnswer(asking, reviewed, await settle(desk, standing, reviewed))
}

/** Also with `--json`: whoever signs sees what. */
function show({ context, yes }: Asking, standing: Standing, reviewed: Reviewed): void {
  const { terminal, settings, clock } = context
  if (settings.json) return
  const say = yes ? terminal.note : terminal.out
  for (const line of reviewText(reviewed, standing, clock())) say(line)
}

function undecided({ context, desk }: Asking, reviewed: Reviewed): Answer {
  const { repository, pending } = reviewed
  const command = `tagseal approve ${repository} ${pending.id} --yes`
  const next = isForOthers(desk, reviewed) ? 'no key here counts for it; whoever has one that does: ' : 'to sign it: '
  if (!context.settings.json) context.terminal.hint(`${next}${command}`)
  return { lines: [], document: { ...reviewDocument(reviewed), signed: false, published: false } }
}

/** Where this machine could sign before and has, it may still publish what others completed. */
function refuseStranger(desk: Desk, reviewed: Reviewed): void {
  const [first] = filesOfOthers(desk, reviewed)
  if (first !== undefined && isForOthers(desk, reviewed)) desk.keyring.refuseUnable(first.authority)
}

/** No key of this machine counts for any file of it, and signatures are missing. */
function isForOthers(desk: Desk, reviewed: Reviewed): boolean {
  return !isComplete(reviewed) && filesOfOthers(desk, reviewed).length === reviewed.files.length
}

function filesOfOthers({ keyring }: Desk, { files }: Reviewed): Reviewed['files'] {
  return files.filter(({ authority }) => !keyring.canHelp(authority))
}

async function settledAnswer({ desk, repo }: Asking, reviewed: Reviewed, settled: Settled): Promise<Answer> {
  const { name: repository } = repo
  const { id } = reviewed.pending
  switch (settled.kind) {
    case 'overtaken': {
      await refuseOther(await desk.standing(), reviewed)
      return answerOf(`${id} is published`, { ...reviewDocument(reviewed), signed: false, published: true })
    }
    case 'published':
      return answerOf(`${id} is published`, {
        ...reviewDocument(reviewed),
        signed: settled.added > 0,
        published: true,
        unsigned: settled.unsigned,
      })
    case 'pending': {
      const { message, hint } = new PublishError('APPROVAL_PENDING', {
        repository,
        proposal: id,
        roles: waitingFor(settled.reviewed),
      })
      const lines = settled.added > 0 ? [`signed ${id}`] : [`${id} has the signatures of the keys here already`]
      const document = { ...reviewDocument(settled.reviewed), signed: settled.added > 0, published: false }
      return { lines: [...lines, message, hint ?? ''], document }
    }
  }
}

function answerOf(line: string, document: object): Answer {
  return { lines: [line], document }
}

/** Throws PROPOSAL_STALE unless these very files were published, by somebody who was faster. */
async function refuseOther(standing: Standing, { repository, pending, files }: Reviewed): Promise<void> {
  const roles = new Map((await allRoles(standing)).map((role) => [role.name, role.file]))
  for (const { role, signed } of files) {
    const now = roles.get(role)
    const same = now !== undefined && Buffer.compare(standing.codec.encode(now), signed.payload) === 0
    if (!same) throw new PublishError('PROPOSAL_STALE', { repository, proposal: pending.id, role })
  }
}
