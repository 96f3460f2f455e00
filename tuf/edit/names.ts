import { TrustError } from '../errors.ts'
import { roleName } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'

/**
 * The names we write. Readers take more, for the specification does; but what we publish must mean the same to every
 * implementation, in a URL, as a file name and as a JSON member.
 */

/** An image tag (OCI distribution: at most 128 characters). It is the target path. */
export function refuseTag(tag: string): void {
  if (!/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/.test(tag)) throw refused('tag', tag)
}

/**
 * A delegated role: lower-case words of letters, digits, `.`, `_`, `-`, joined by `/`. Lower-case, for some file systems
 * know no other; no top-level role; nothing that reads as a number, as `N.ROLE`, `ROLE.<sha256>` or `ROLE.json`.
 */
export function newRoleName(name: string): RoleName {
  const wellFormed = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/.test(name)
  const confusing = RESERVED.has(name) || /^\d+(?:\.|$)|\.[0-9a-f]{64}$|\.json$/.test(name)
  if (!wellFormed || confusing || name.length > 128) throw refused('role name', name)
  return roleName(name)
}
const RESERVED: ReadonlySet<string> = new Set(['root', 'timestamp', 'snapshot', 'targets', 'mirrors'])

/**
 * Any target path: relative, no empty, `.` or `..` segment, none of `# ? % \`, nothing invisible; NFC, for some
 * implementations normalise before they hash; nothing above U+FFFF, which some sort in another order.
 */
export function refuseTargetPath(path: string): void {
  const odd = path === '' || path.length > 1024 || path !== path.normalize('NFC') || !path.isWellFormed()
  const segments = path.split('/')
  if (odd || ODD.test(path) || segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    throw refused('target path', path)
  }
}
const ODD = /[#?%\\\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u{10000}-\u{10ffff}]/u

/** A pattern of a delegation: a target path in which `*` and `?` may stand. */
export function refusePattern(pattern: string): void {
  if (pattern.length > 1024) throw refused('path pattern', pattern)
  refuseTargetPath(pattern.replaceAll('?', '*'))
}

function refused(what: string, name: string): TrustError {
  return new TrustError('MALFORMED', { what, got: JSON.stringify(name.slice(0, 80)) })
}
