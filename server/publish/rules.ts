import { ROOT, isTrustError, newRoleName, nextSnapshot } from '../../tuf/index.ts'
import type {
  EditContext,
  FileMeta,
  Judge,
  Metadata,
  RoleName,
  Root,
  Signed,
  Snapshot,
  Suite,
  Targets,
  Version,
} from '../../tuf/index.ts'
import { Problem, invalidUpdate } from '../problem.ts'
import type { Dialect, OnlineRole, RepositoryState } from '../storage/store.ts'
import { refuseUnwritable } from './changes.ts'
import { refuseOutOfTurn } from './versions.ts'

/** An upload on top of what is stored: the set as it would be served. */
export type NextFileSet = {
  readonly judge: Judge
  readonly state: RepositoryState | undefined
  readonly uploaded: ReadonlyMap<RoleName, Uint8Array>
  readonly decoded: ReadonlyMap<RoleName, Signed<Metadata>>
  /** The stored file of a role. */
  readonly stored: (role: RoleName) => Promise<Uint8Array | undefined>
}

/** The next snapshot's body, made of the stored one's. */
export type MakeSnapshot = (before: Snapshot | undefined, context: EditContext) => Snapshot

/** Which snapshot comes next, to be made or as it was uploaded; and the stored roles that have no file from now on. */
export type NextSnapshot = ({ readonly make: MakeSnapshot } | { readonly bytes: Uint8Array }) & {
  readonly leaving: readonly RoleName[]
}

/** What a server asks of uploads beyond the trust rules, and says of the files it makes, where the dialects differ. */
export type Rules = {
  readonly dialect: Dialect
  /** Throws INVALID_ROLE for a role that is not a publisher's to send, or may not be named so. */
  readonly refuseRole: (role: RoleName) => void
  /** Whether an upload may have no files at all. */
  readonly takesNothing: boolean
  /** Parts that are taken and not looked at. */
  readonly ignored: ReadonlySet<string>
  /** Throws VERSION for a file that does not follow what is stored. */
  readonly refuseOutOfTurn: (state: RepositoryState | undefined, role: RoleName, got: number) => void
  readonly refuseRoot: (root: Root) => void
  /** Throws for what clients of this dialect could not use; what was published before is not looked at again. */
  readonly refuseUnwritable: (role: RoleName, previous: Targets | undefined, next: Targets) => void
  /** Online roles whose keys the publishers may hold instead of the server. */
  readonly theirs: ReadonlySet<OnlineRole>
  /** What a file that lists another says of it. */
  readonly metaOf: (version: Version, bytes: Uint8Array, suite: Suite) => Omit<FileMeta, 'unknown'>
  readonly nextSnapshot: (files: NextFileSet, holdsSnapshot: boolean) => Promise<NextSnapshot>
}

export const tufRules: Rules = {
  dialect: 'tuf-1.0',
  refuseRole,
  takesNothing: false,
  ignored: new Set(),
  refuseOutOfTurn,
  refuseRoot({ consistentSnapshot }) {
    if (!consistentSnapshot) throw invalidUpdate('NOT_CONSISTENT', { role: 'root' })
  },
  refuseUnwritable: (_role, previous, next) => refuseUnwritable(previous, next),
  theirs: new Set(),
  metaOf: (version, bytes, suite) => ({
    version,
    length: bytes.length,
    hashes: new Map([['sha256', suite.hash('sha256', bytes)]]),
  }),
  async nextSnapshot({ decoded }) {
    const targets = [...decoded].filter(([role]) => role !== ROOT)
    const listed = new Map(targets.map(([role, { body }]) => [role, body.version] as const))
    return { make: (before, context) => nextSnapshot(before, listed, context), leaving: [] }
  },
}

/** Snapshot and timestamp are the server's to make: who sends one misunderstands who signs what. */
function refuseRole(role: RoleName): void {
  const name: string = role
  if (name === 'root' || name === 'targets') return
  if (name === 'snapshot' || name === 'timestamp') {
    throw new Problem('INVALID_ROLE', { role: name, reason: 'the server signs it' })
  }
  try {
    newRoleName(name)
  } catch (error) {
    if (!isTrustError(error)) throw error
    throw new Problem('INVALID_ROLE', { role: name.slice(0, 80), reason: 'no role may be named so' }, { cause: error })
  }
}
