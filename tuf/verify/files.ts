import { SNAPSHOT, TIMESTAMP } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import type { Root } from '../model/metadata.ts'
import { allowedBytes } from './checks.ts'
import type { AfterSnapshot, AfterTimestamp } from './states.ts'
import { listedMeta } from './targets.ts'

/** A file to ask for: its name at the metadata URL, and how many bytes it may have. */
export type WantedFile = { readonly name: string; readonly maxBytes: number }

export function rootFile(version: number): string {
  return `${version}.root.json`
}

export function timestampFile(): string {
  return fileName(TIMESTAMP)
}

export function snapshotFile(trust: AfterTimestamp): WantedFile {
  const { version, length } = trust.timestamp.snapshot
  return { name: versioned(trust.root, SNAPSHOT, version), maxBytes: allowedBytes(length, trust.limits.snapshot) }
}

/** The file of targets or of a delegated role. Throws ROLE_NOT_LISTED. */
export function targetsFile(trust: AfterSnapshot, role: RoleName): WantedFile {
  const { version, length } = listedMeta(trust, role)
  return { name: versioned(trust.root, role, version), maxBytes: allowedBytes(length, trust.limits.targets) }
}

/**
 * A role's file name as one URL segment or one name in a folder: no role name reaches outside it.
 * Quoted as Python's `quote(name, safe='')` does, which is what the other implementations ask for.
 */
export function fileName(role: RoleName): string {
  const quoted = encodeURIComponent(role.toWellFormed())
  return `${quoted.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)}.json`
}

/** Only consistent snapshots carry the version in the name (6.2). */
function versioned(root: Root, role: RoleName, version: number | undefined): string {
  return root.consistentSnapshot && version !== undefined ? `${version}.${fileName(role)}` : fileName(role)
}
