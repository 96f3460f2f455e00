import { ROOT, SNAPSHOT, TIMESTAMP } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { Problem } from '../problem.ts'
import type { LastSigned, RepositoryState } from '../storage/store.ts'

/**
 * The version a file says it has, read off its end where it is written in our form: members sorted, so that `version`
 * is the last of `signed`. A file that lies here is found out when it is decoded; one written otherwise says nothing.
 */
export function peekVersion(bytes: Uint8Array): number | undefined {
  const end = Buffer.from(bytes.subarray(-40)).toString('latin1')
  const digits = /"version":(\d{1,15})\}\}\s*$/.exec(end)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/**
 * Throws VERSION unless this is the next one: what was signed on top of an older file would undo what came between.
 * A new repository begins at any version, so that trust survives a move to this server.
 */
export function refuseOutOfTurn(state: RepositoryState | undefined, role: RoleName, got: number): void {
  if (state === undefined) return
  const current = state.files.get(role)?.version ?? 0
  // What came in between was lost with the database, and nobody can undo it any more. Roots form a chain all the same.
  if (state.recovery !== undefined && role !== ROOT && got > current) return
  if (got !== current + 1) throw new Problem('VERSION', { role, current, got })
}

/**
 * Throws VERSION for a file below what clients may have seen before a backup was put back, and for another one under the
 * same version. The very file that was lost comes in again, whoever kept it.
 */
export function refuseBelowLost(
  state: RepositoryState | undefined,
  role: RoleName,
  { version: got, sha256 }: { readonly version: number; readonly sha256: string },
): void {
  const lost = (state?.recovery?.awaited ?? []).filter((file) => file.role === role)
  // Each root that was lost has to come back by itself: clients go from one to the next.
  const same = lost.find(({ version }) => version === got)
  const current = role === ROOT ? 0 : Math.max(0, ...lost.map(({ version }) => version))
  if (got < current || (same !== undefined && same.sha256 !== sha256)) {
    throw new Problem('VERSION', { role, current: Math.max(current, got), got })
  }
}

/** What our own keys may have signed before a backup was put back: they go on above it. */
export function lastSignedOf(state: RepositoryState | undefined): LastSigned | undefined {
  const awaited = state?.recovery?.awaited
  if (awaited === undefined) return undefined
  const last = (role: RoleName) =>
    Math.max(1, ...awaited.filter((file) => file.role === role).map(({ version }) => version)) - 1
  return { timestamp: last(TIMESTAMP), snapshot: last(SNAPSHOT) }
}
