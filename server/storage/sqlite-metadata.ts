import { isStorageError } from './errors.ts'
import { gather } from './gather.ts'
import type { Outcome } from './gather.ts'
import { instant, roleName, version as versionOf } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import type { Sql, Statement } from './sql.ts'
import { changedDelegationsIn, changedTagsIn, historyIn } from './sqlite-history.ts'
import { changedOrdersIn } from './sqlite-ordering.ts'
import type { MarkWriter } from './sqlite-marks.ts'
import { pruner, publisher, remover } from './sqlite-publish.ts'
import type { RepositoryRow } from './sqlite-publish.ts'
import type {
  AwaitedFile,
  DueRepository,
  FileRecord,
  LastSigned,
  MetadataStore,
  OwnedRole,
  Publication,
  ReadingStore,
  RepositoryState,
  StoredFile,
} from './store.ts'

type FileRow = {
  role: string
  version: number
  sha256: string
  sha512: string
  length: number
  expires: number
  delegates: number
  stored_at: number
}
type ContentRow = FileRow & { bytes: Uint8Array }

const RECORD = 'role, version, sha256, sha512, file.length AS length, expires, delegates, stored_at'
const NOTHING = { oldest: null, firstExpiry: null, repositories: 0, proposals: 0, held: 0 }
const RECLAIMED_PAGES = 500
/** Free pages that stay: the next publish takes them, and moving pages about costs more than a few empty megabytes. */
const SPARE_PAGES = 1_000

export function metadataIn(sql: Sql, marks: MarkWriter | undefined): MetadataStore {
  const repository = repositoryIn(sql)
  // By the index of current files: the planner would walk all that a repository had in its grace. Not sorted: SQLite
  // compiles such a statement anew each time.
  const files = sql.prepare<[number], FileRow>(
    `SELECT ${RECORD} FROM file INDEXED BY file_current WHERE repository = ? AND superseded_at IS NULL`,
  )
  const lastSigned = sql.prepare<[string], LastSigned>('SELECT timestamp, snapshot FROM deleted WHERE name = ?')
  const recovery = recoveryOf(sql)
  const publish = publisher(sql, repository, marks)
  const remove = remover(sql, repository, marks)
  return {
    publish: gather((batch) => publishTogether(sql, publish, batch)),
    async remove(removal) {
      return sql.write(() => remove(removal))
    },
    async lastSigned(name) {
      return sql.run(() => lastSigned.get(name) ?? { timestamp: 0, snapshot: 0 })
    },
    async dialect(name) {
      return sql.run(() => repository.get(name)?.dialect)
    },
    async state(name) {
      return sql.run(() => {
        const row = repository.get(name)
        return row && { ...stateOf(row, files.all(row.id)), ...recovery.of(name) }
      })
    },
    async holdingBack(name) {
      return sql.run(() => recovery.holdingBack(name))
    },
    ...filesIn(sql),
    ...listsIn(sql),
    ...upkeepIn(sql),
    expiries: expiriesIn(sql),
    history: historyIn(sql),
    changedTags: changedTagsIn(sql),
    changedDelegations: changedDelegationsIn(sql),
    changedOrders: changedOrdersIn(sql),
  }
}

/** What a connection that cannot write is good for. */
export function readingIn(sql: Sql): Pick<ReadingStore, 'metadata' | 'revision'> {
  const repository = repositoryIn(sql)
  const recovery = recoveryOf(sql)
  return {
    metadata: {
      ...filesIn(sql),
      async dialect(name) {
        return sql.run(() => repository.get(name)?.dialect)
      },
      async holdingBack(name) {
        return sql.run(() => recovery.holdingBack(name))
      },
    },
    revision: (name) => sql.run(() => repository.get(name)?.revision),
  }
}

function repositoryIn(sql: Sql): Statement<[string], RepositoryRow> {
  return sql.prepare('SELECT id, name, created_at, revision, dialect FROM repository WHERE name = ?')
}

/**
 * Whoever publishes in the same turn shares a transaction, and with it the wait for the disk. Each is a piece of its own
 * in it. Where the storage fails one of them (a full disk), nothing of the whole stays, and each is tried alone.
 */
function publishTogether(
  sql: Sql,
  publish: (publication: Publication) => boolean,
  batch: readonly (readonly Publication[])[],
): readonly Outcome<readonly boolean[]>[] {
  const write = (publications: readonly Publication[]) => sql.write(() => publications.map(publish))
  const each = (publications: readonly Publication[]) => outcomeOf(() => write(publications))
  if (batch.length === 1) return batch.map(each)
  try {
    return sql.write(() => batch.map((publications) => unlessStorageFailed(each(publications))))
  } catch (error) {
    if (!isStorageError(error)) throw error
    return batch.map(each)
  }
}

/** SQLite may have rolled everything back by itself: what was said before does not count, and nothing may follow. */
function unlessStorageFailed<O>(outcome: Outcome<O>): Outcome<O> {
  if ('error' in outcome && isStorageError(outcome.error)) throw outcome.error
  return outcome
}

function outcomeOf<T>(work: () => T): Outcome<T> {
  try {
    return { value: work() }
  } catch (error) {
    return { error }
  }
}

function recoveryOf(sql: Sql) {
  type Row = { role: string; version: number; sha256: string | null; holds: number }
  const restored = sql.prepare<[string]>('SELECT 1 FROM restored WHERE repository = ?')
  const awaited = sql.prepare<[string], Row>('SELECT role, version, sha256, holds FROM awaited WHERE repository = ?')
  const fileOf = ({ role, version, sha256 }: Row) => ({
    role: roleName(role),
    version,
    ...(sha256 !== null && { sha256 }),
  })
  return {
    of(name: string): Pick<RepositoryState, 'recovery'> {
      if (restored.get(name) === undefined) return {}
      return { recovery: { awaited: awaited.all(name).map(fileOf) } }
    },
    holdingBack(name: string): readonly AwaitedFile[] {
      return awaited
        .all(name)
        .filter(({ holds }) => holds === 1)
        .map(fileOf)
    },
  }
}

function filesIn(sql: Sql): Pick<MetadataStore, 'current' | 'byVersion' | 'byHash'> {
  const wanted = (condition: string) =>
    `SELECT ${RECORD}, bytes FROM file JOIN content ON content.id = file.content
     WHERE repository = (SELECT id FROM repository WHERE name = ?) AND role = ? AND ${condition}`
  const current = sql.prepare<[string, string], ContentRow>(wanted('superseded_at IS NULL'))
  const byVersion = sql.prepare<[string, string, number], ContentRow>(wanted('version = ?'))
  const byHash = sql.prepare<[string, string, string], ContentRow>(wanted('sha256 = ?'))
  return {
    async current(name, role) {
      return sql.run(() => storedOf(current.get(name, role)))
    },
    async byVersion(name, role, version) {
      return sql.run(() => storedOf(byVersion.get(name, role, version)))
    },
    async byHash(name, role, sha256) {
      return sql.run(() => storedOf(byHash.get(name, role, sha256)))
    },
  }
}

function listsIn(sql: Sql): Pick<MetadataStore, 'repositories' | 'due' | 'summary'> {
  const names = sql.prepare<[string, number], { name: string; createdAt: number }>(
    'SELECT name, created_at AS createdAt FROM repository WHERE name > ? ORDER BY name LIMIT ?',
  )
  type DueRow = Omit<DueRepository, 'holdsSnapshot'> & { holds: number }
  const due = sql.prepare<[string, number, number, number, number, number], DueRow>(
    `SELECT name, timestamp_expires AS timestampExpires, snapshot_expires AS snapshotExpires, holds_snapshot AS holds
     FROM repository
     WHERE dialect = ? AND (timestamp_expires <= ? OR timestamp_expires > ?
       OR (holds_snapshot = 1 AND snapshot_expires <= ?) OR (holds_snapshot = 1 AND snapshot_expires > ?))
     ORDER BY timestamp_expires, id LIMIT ?`,
  )
  type SummaryRow = {
    repositories: number
    proposals: number
    held: number
    oldest: number | null
    firstExpiry: number | null
  }
  const summary = sql.prepare<[], SummaryRow>(
    `SELECT count(*) AS repositories, min(timestamp_at) AS oldest, min(timestamp_expires) AS firstExpiry,
     (SELECT count(*) FROM proposal) AS proposals,
     (SELECT count(DISTINCT repository) FROM awaited WHERE holds = 1) AS held FROM repository`,
  )
  return {
    async repositories({ limit, from }) {
      return sql.run(() => names.all(from ?? '', limit))
    },
    async due(dialect, { timestamp, snapshot }, limit) {
      const rows = sql.run(() => due.all(dialect, timestamp.soon, timestamp.far, snapshot.soon, snapshot.far, limit))
      return rows.map(({ holds, ...row }) => ({ ...row, holdsSnapshot: holds === 1 }))
    },
    async summary() {
      return sql.run(() => {
        const row = summary.get()
        const bytes = sql.pragma('page_count') * sql.pragma('page_size')
        const { oldest, firstExpiry, repositories, proposals, held } = row ?? NOTHING
        return {
          repositories,
          proposals,
          bytes,
          held,
          ...(oldest === null ? {} : { oldestTimestamp: oldest }),
          ...(firstExpiry === null ? {} : { firstExpiry }),
        }
      })
    },
  }
}

function expiriesIn(sql: Sql): MetadataStore['expiries'] {
  const kind = "iif(role IN ('root', 'targets'), role, 'delegated')"
  const owned = "superseded_at IS NULL AND role NOT IN ('snapshot', 'timestamp')"
  const first = sql.prepare<[string], { first: number | null }>(
    `SELECT min(expires) AS first FROM file WHERE ${owned} AND ${kind} = ?`,
  )
  const due = sql.prepare<[string, number], { due: number }>(
    `SELECT count(*) AS due FROM file WHERE ${owned} AND ${kind} = ? AND expires - (expires - stored_at) / 5 <= ?`,
  )
  return async (now) => {
    const of = (role: OwnedRole) => ({ first: first.get(role)?.first ?? undefined, due: due.get(role, now)?.due ?? 0 })
    return sql.run(() => ({ root: of('root'), targets: of('targets'), delegated: of('delegated') }))
  }
}

function upkeepIn(sql: Sql): Pick<MetadataStore, 'prune' | 'reclaim'> {
  const prune = pruner(sql)
  return {
    async prune(before, limit) {
      return sql.write(() => prune(before, limit))
    },
    async reclaim() {
      return sql.run(() => {
        const free = sql.pragma('freelist_count') - SPARE_PAGES
        if (free > 0) sql.pragmaAll(`incremental_vacuum(${Math.min(free, RECLAIMED_PAGES)})`)
        sql.pragmaAll('wal_checkpoint(PASSIVE)')
        return free > RECLAIMED_PAGES
      })
    },
  }
}

function stateOf({ name, created_at, revision, dialect }: RepositoryRow, rows: readonly FileRow[]): RepositoryState {
  const files = new Map<RoleName, FileRecord>(rows.map((row) => [roleName(row.role), recordOf(row)]))
  return { name, createdAt: created_at, revision, dialect, files }
}

function storedOf(row: ContentRow | undefined): StoredFile | undefined {
  return row && { ...recordOf(row), bytes: row.bytes }
}

function recordOf(row: FileRow): FileRecord {
  const { sha256, sha512, length } = row
  return {
    role: roleName(row.role),
    version: versionOf(row.version),
    sha256,
    sha512,
    length,
    expires: instant(row.expires),
    delegates: row.delegates === 1,
    storedAt: row.stored_at,
  }
}
