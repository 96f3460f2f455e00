import { isTrustError, roleName } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'

/** Which file of a repository is meant: the current one of a role, one by its version, or one by its hash. */
export type WantedFile = { readonly role: RoleName; readonly version?: number; readonly sha256?: string }

/**
 * Reads `ROLE.json`, `N.ROLE.json` and `ROLE.<sha256>.json`. Undefined for anything else. Roles that would read as two
 * of these cannot be published.
 */
export function parseFileName(file: string): WantedFile | undefined {
  if (!file.endsWith('.json')) return undefined
  const name = file.slice(0, -5)
  const [, digits, versioned] = /^([1-9]\d{0,15})\.(.+)$/s.exec(name) ?? []
  if (digits !== undefined) {
    const version = Number(digits)
    return Number.isSafeInteger(version) ? wanted(versioned, { version }) : undefined
  }
  const [, hashed, sha256] = /^(.+)\.([0-9a-f]{64})$/s.exec(name) ?? []
  if (sha256 !== undefined) return wanted(hashed, { sha256 })
  return wanted(name, {})
}

function wanted(name: string | undefined, which: Omit<WantedFile, 'role'>): WantedFile | undefined {
  try {
    return { role: roleName(name), ...which }
  } catch (error) {
    if (isTrustError(error)) return undefined
    throw error
  }
}
