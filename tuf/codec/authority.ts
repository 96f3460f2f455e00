import { TrustError } from '../errors.ts'
import type { Authority } from '../model/authority.ts'
import type { RoleName } from '../model/ids.ts'
import type { Root } from '../model/metadata.ts'

/** Who may sign one of the four top-level roles. A root that was decoded names all of them. */
export function authorityOf(root: Root, name: RoleName): Authority {
  const role = root.roles.get(name)
  if (role === undefined) throw new TrustError('MALFORMED', { what: 'root: roles', got: `no role ${name}` })
  return { name, role, keys: root.keys }
}
