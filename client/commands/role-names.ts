import { isTrustError, roleName } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { isOwners } from '../publish/layout.ts'
import { usage } from './errors.ts'

/** A name of a role as somebody typed it. Throws USAGE. */
export function givenRole(text: string): RoleName {
  return typed(() => roleName(text), 'name it as "tagseal delegation list" shows it')
}

/** The same where the role is to be changed: that of a large repository's bins follow `targets`. */
export function givenDelegation(text: string): RoleName {
  const role = givenRole(text)
  if (!isOwners(role)) return role
  throw usage(`${role} is how a large repository keeps the tags of targets`, 'what is done to targets is done to it')
}

/** What somebody typed and the trust rules refuse was wrongly typed. */
export function typed<T>(read: () => T, next?: string): T {
  try {
    return read()
  } catch (error) {
    if (isTrustError(error)) throw usage(error.message, next)
    throw error
  }
}
