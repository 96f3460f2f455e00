import { SNAPSHOT, TIMESTAMP } from '../model/ids.ts'
import type { RoleName } from '../model/ids.ts'
import { fileName } from '../codec/file-name.ts'
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
  const { codec, root, limits } = trust
  const listed = trust.timestamp.snapshot
  return { name: codec.fileName(SNAPSHOT, listed, root), maxBytes: allowedBytes(listed.length, limits.snapshot) }
}

/** The file of targets or of a delegated role. Throws ROLE_NOT_LISTED. */
export function targetsFile(trust: AfterSnapshot, role: RoleName): WantedFile {
  const { codec, root, limits } = trust
  const listed = listedMeta(trust, role)
  return { name: codec.fileName(role, listed, root), maxBytes: allowedBytes(listed.length, limits.targets) }
}
