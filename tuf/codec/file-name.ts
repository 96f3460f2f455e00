import type { RoleName } from '../model/ids.ts'

/**
 * A role's file name as one URL segment or one name in a folder: no role name reaches outside it.
 * Quoted as Python's `quote(name, safe='')` does, which is what the other implementations ask for.
 */
export function fileName(role: RoleName): string {
  const quoted = encodeURIComponent(role.toWellFormed())
  return `${quoted.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)}.json`
}
