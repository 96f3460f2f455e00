import type { Context } from '../context.ts'
import { newDigests } from '../proposals/changes.ts'
import type { FileChanges } from '../proposals/changes.ts'
import { findWhole } from '../publish/in-registry.ts'
import type { Desk } from '../publish/publish.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/reference.ts'

/** What `approve` was asked, and of whom. */
export type Asking = {
  readonly context: Context
  readonly desk: Desk
  readonly repo: RepositoryName
  readonly yes: boolean
  readonly inRegistry: boolean
}

/** As `sign` does: what nobody can pull is not signed. */
export async function refuseMissing(
  { context, repo, inRegistry }: Asking,
  changes: readonly FileChanges[],
): Promise<void> {
  if (!inRegistry) return
  for (const [digest, { tag, length }] of newDigests(changes)) {
    const text = `${repo.name}:${tag}@${digest}`
    const found = await findWhole(context, { ...repo, digest })
    if (found.length !== length) {
      throw new RegistryError('SIZE_MISMATCH', { what: text, expected: length, got: found.length })
    }
  }
}
