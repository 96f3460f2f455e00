/**
 * The snapshot of a Notary repository: which files it lists, and that a publisher's own lists nothing that nobody has.
 *
 * Unlike in TUF 1.0 a role that nobody delegates to any more leaves it. Were it kept, its old targets would come back
 * with the next delegation of that name.
 */
import { ROOT, SNAPSHOT, TARGETS, TIMESTAMP, refuseMismatch } from '../../tuf/index.ts'
import type { FileMeta, Hashes, RoleName, Snapshot, Suite, Targets } from '../../tuf/index.ts'
import { invalidUpdate } from '../problem.ts'
import type { FileRecord } from '../storage/store.ts'
import type { NextFileSet } from './rules.ts'

/** What the next snapshot lists: the root, and every targets file that can be reached from the top. */
export async function listedFiles(files: NextFileSet): Promise<ReadonlyMap<RoleName, FileMeta>> {
  const listed = new Map<RoleName, FileMeta>()
  const roles = [ROOT, TARGETS]
  // It grows while it is walked; one file may delegate to a million roles, which no argument list holds.
  for (const role of roles) {
    const meta = listed.has(role) ? undefined : metaOf(files, role)
    if (meta === undefined) continue
    listed.set(role, meta)
    if (role !== ROOT) for (const name of await delegatedBy(files, role)) roles.push(name)
  }
  return listed
}

/** Throws INVALID_UPDATE for a snapshot that lists what is neither stored nor uploaded, or leaves out the top. */
export function refuseDangling(files: NextFileSet, meta: Snapshot['meta']): void {
  for (const role of [ROOT, TARGETS, ...meta.keys()]) {
    const listed = meta.get(role)
    const hash = listed?.hashes?.get('sha256')
    if (listed === undefined || hash === undefined) throw dangling(role, 'no sha256')
    const bytes = files.uploaded.get(role)
    if (bytes !== undefined) refuseMismatch(role, listed, bytes, files.judge.suite)
    else if (!describes(listed, storedIn(files, role))) throw dangling(role, hash)
  }
}

function dangling(role: RoleName, listed: string) {
  return invalidUpdate('SNAPSHOT_DANGLING', { role, listed })
}

/** Delegated roles that are stored and not listed any more. */
export function leavingRoles({ state }: NextFileSet, listed: ReadonlyMap<RoleName, unknown>): readonly RoleName[] {
  const stored = [...(state?.files.keys() ?? [])]
  return stored.filter((role) => !TOP.has(role) && !listed.has(role))
}
const TOP: ReadonlySet<RoleName> = new Set([ROOT, TARGETS, SNAPSHOT, TIMESTAMP])

/** Files are listed by what they are, and not by their versions. */
export function notaryMeta(bytes: Uint8Array, suite: Suite): { readonly length: number; readonly hashes: Hashes } {
  const hashes = new Map([
    ['sha256', suite.hash('sha256', bytes)],
    ['sha512', suite.hash('sha512', bytes)],
  ])
  return { length: bytes.length, hashes }
}

function metaOf(files: NextFileSet, role: RoleName): FileMeta | undefined {
  const bytes = files.uploaded.get(role)
  if (bytes !== undefined) return { ...notaryMeta(bytes, files.judge.suite), unknown: new Map() }
  const record = storedIn(files, role)
  return record && { length: record.length, hashes: hashesOf(record), unknown: new Map() }
}

function storedIn({ state }: NextFileSet, role: RoleName): FileRecord | undefined {
  return role === SNAPSHOT || role === TIMESTAMP ? undefined : state?.files.get(role)
}

function hashesOf({ sha256, sha512 }: FileRecord): Hashes {
  return new Map([
    ['sha256', sha256],
    ['sha512', sha512],
  ])
}

function describes({ length, hashes }: FileMeta, record: FileRecord | undefined): boolean {
  if (record === undefined || (length !== undefined && length !== record.length)) return false
  const sha512 = hashes?.get('sha512')
  return hashes?.get('sha256') === record.sha256 && (sha512 === undefined || sha512 === record.sha512)
}

/** A stored role that delegates to nobody is not opened. */
async function delegatedBy(files: NextFileSet, role: RoleName): Promise<readonly RoleName[]> {
  if (!files.uploaded.has(role) && files.state?.files.get(role)?.delegates !== true) return []
  const bytes = files.uploaded.get(role) ?? (await files.stored(role))
  if (bytes === undefined) return []
  const { delegations }: Targets = files.judge.codec.decode('targets', bytes, files.judge).body
  return delegations?.roles.map(({ name }) => name) ?? []
}
