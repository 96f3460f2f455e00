import type { PendingProposal } from '../proposals/api.ts'
import { planRenewal } from '../proposals/renew.ts'
import { changesOfEdits } from '../proposals/review.ts'
import { PublishError, isPublishError } from '../publish/errors.ts'
import { publishOrPropose } from '../publish/publish-or-propose.ts'
import type { Desk } from '../publish/publish.ts'
import { refuseMissing } from './approve-images.ts'
import type { Asking } from './approve-images.ts'
import { changesDocument, changesText } from './approve-text.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'

/** What it meant to change, on top of what is there now: shown, and with `--yes` proposed or published. */
export async function renewed(asking: Asking, pending: PendingProposal): Promise<Answer> {
  const { context, desk, repo, yes } = asking
  if (!pending.stale) throw usage(`${pending.id} is not stale`, `tagseal approve ${repo.name} ${pending.id}`)
  const plan = planRenewal({ desk, repository: repo.name, pending, clock: context.clock })
  const standing = await desk.standing()
  const changes = await changesOfEdits(standing, repo.name, await plan(standing))
  await refuseMissing(asking, changes)
  const lines = changesText(changes, standing, context.clock())
  const document = { repository: repo.name, proposal: pending.id, changes: changesDocument(changes) }
  if (!yes) {
    if (!context.settings.json) {
      for (const line of lines) context.terminal.out(line)
      context.terminal.hint(`to make it again: tagseal approve ${repo.name} ${pending.id} --renew --yes`)
    }
    return { lines: [], document: { ...document, renewed: null, published: false } }
  }
  for (const line of lines) context.terminal.note(line)
  const { published, pending: next } = await publishOrPropose(desk, plan)
  await withdrawQuietly(desk, pending.id)
  if (next === undefined) {
    const line = published ? 'published' : 'everything it changes is so already'
    return { lines: [line], document: { ...document, renewed: null, published } }
  }
  const error = new PublishError('APPROVAL_PENDING', { repository: repo.name, proposal: next.id, roles: next.roles })
  return {
    lines: [`renewed as ${next.id}`, error.message, error.hint ?? ''],
    document: { ...document, renewed: next.id, published: false },
  }
}

/** It is of no use any more; where it is not ours to take back, it ends by itself. */
async function withdrawQuietly({ server }: Desk, id: string): Promise<void> {
  try {
    await server.proposals.withdraw(id)
  } catch (error) {
    if (!isPublishError(error) || (error.code !== 'DENIED' && error.code !== 'NOT_THERE')) throw error
  }
}
