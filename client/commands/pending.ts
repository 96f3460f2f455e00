import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { failureDocument, tellFailure } from '../failure-text.ts'
import type { Pending } from '../proposals/propose.ts'
import { PublishError } from '../publish/errors.ts'
import type { Answer } from './declare.ts'

/** A change that waits for others; `about` is what `--json` says of it beside. */
export type PendingChange = { readonly repository: string; readonly pending: Pending; readonly about?: object }

/**
 * The answer of a command of whose work some may wait on the server. That is no success: only 0 means that an image may
 * be used. Whoever knows that others sign later says so with `--allow-pending` (ADR 0025).
 */
export function withPending(
  { terminal, settings }: Context,
  allowed: boolean,
  changes: readonly PendingChange[],
  answer: Answer & { readonly document: object },
): Answer {
  const failures = changes.map(({ repository, pending: { id, roles } }) =>
    failureOf(new PublishError('APPROVAL_PENDING', { repository, proposal: id, roles })),
  )
  const [first] = failures
  if (first === undefined) return answer
  for (const failure of failures) {
    if (settings.json) continue
    if (!allowed) tellFailure(terminal, failure)
    else {
      terminal.warn(failure.message)
      terminal.hint(failure.hint ?? '')
    }
  }
  const told = 'error' in answer.document || allowed ? {} : { error: failureDocument(first) }
  const exit = allowed ? {} : { exit: 1 as const }
  return { ...exit, ...answer, document: { ...answer.document, pending: changes.map(documentOf), ...told } }
}

function documentOf({ repository, pending: { id, expiresAt, roles }, about = {} }: PendingChange): object {
  const command = `tagseal approve ${repository} ${id}`
  return { repository, proposal: id, expires: new Date(expiresAt).toISOString(), roles, command, ...about }
}
