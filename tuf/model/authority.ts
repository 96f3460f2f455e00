import type { KeyId, RoleName } from './ids.ts'
import type { PublicKey, RoleKeys } from './metadata.ts'

/** Whose signatures count for a file: the role's entry in its delegator, and the delegator's keys. */
export type Authority = {
  readonly name: RoleName
  readonly role: RoleKeys
  readonly keys: ReadonlyMap<KeyId, PublicKey>
}
