import type { Authority, Root, RoleName, Targets } from '../../tuf/index.ts'
import type { Standing } from './standing.ts'

/** One role's next version, and by whose keys it must be signed. */
export type Edit = {
  readonly role: RoleName
  readonly body: Root | Targets
  readonly authorities: readonly Authority[]
}

/**
 * What somebody wants, put on top of what is there now. Asked again after every conflict, so it must say the same of
 * the same standing. No edits mean that what is wanted is already so.
 */
export type Plan = (standing: Standing) => Promise<readonly Edit[]>
