import type { RoleName } from '../../tuf/index.ts'
import { Problem } from '../problem.ts'
import type { RepositoryState } from '../storage/store.ts'

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
  if (got !== current + 1) throw new Problem('VERSION', { role, current, got })
}
