import { SNAPSHOT, TIMESTAMP, instant, roleName, version as versionOf } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import type { Sql, Statement } from './sql.ts'
import { auditWriter } from './sqlite-audit.ts'
import { historyIn, historyWriter } from './sqlite-history.ts'
import type {
  DueRepository,
  FileRecord,
  MetadataStore,
  NewFile,
  Publication,
  RepositoryState,
  StoredFile,
} from './store.ts'

type RepositoryRow = { id: number; name: string; created_at: number; revision: number }
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
/** In one publish; what is left over goes in the next one, or with the timer. */
const PRUNED_PER_PUBLISH = 8
const RECLAIMED_PAGES = 500
/** Free pages that stay: the next publish takes them, and moving pages about costs more than a few empty megabytes. */
const SPARE_PAGES = 1_000

export function metadataIn(sql: Sql): MetadataStore {
  const repository = sql.prepare<[string], RepositoryRow>(
    'SELECT id, name, created_at, revision FROM repository WHERE name = ?',
  )
  const files = sql.prepare<[number], FileRow>(
    `SELECT ${RECORD} FROM file WHERE repository = ? AND superseded_at IS NULL ORDER BY role`,
  )
  const publish = publisher(sql, repository)
  return {
    async publish(publications) {
      return sql.write(() => publications.map((publication) => publish(publication)))
    },
    async state(name) {
      return sql.run(() => {
        const row = repository.get(name)
        return row && stateOf(row, files.all(row.id))
      })
    },
    ...filesIn(sql),
    ...listsIn(sql),
    ...upkeepIn(sql),
    history: historyIn(sql),
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
  const due = sql.prepare<[number, number, number, number, number], DueRepository>(
    `SELECT name, timestamp_expires AS timestampExpires, snapshot_expires AS snapshotExpires FROM repository
     WHERE timestamp_expires <= ? OR timestamp_expires > ? OR snapshot_expires <= ? OR snapshot_expires > ?
     ORDER BY timestamp_expires, id LIMIT ?`,
  )
  const summary = sql.prepare<[], { repositories: number; oldest: number | null; firstExpiry: number | null }>(
    `SELECT count(*) AS repositories, min(timestamp_at) AS oldest, min(timestamp_expires) AS firstExpiry
     FROM repository`,
  )
  return {
    async repositories({ limit, from }) {
      return sql.run(() => names.all(from ?? '', limit))
    },
    async due({ timestamp, snapshot }, limit) {
      return sql.run(() => due.all(timestamp.soon, timestamp.far, snapshot.soon, snapshot.far, limit))
    },
    async summary() {
      return sql.run(() => {
        const row = summary.get()
        const bytes = sql.pragma('page_count') * sql.pragma('page_size')
        const { oldest, firstExpiry, repositories } = row ?? { oldest: null, firstExpiry: null, repositories: 0 }
        return {
          repositories,
          bytes,
          ...(oldest === null ? {} : { oldestTimestamp: oldest }),
          ...(firstExpiry === null ? {} : { firstExpiry }),
        }
      })
    },
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

/** Inside the caller's transaction. */
function pruner(sql: Sql): (before: number, limit: number) => number {
  type Superseded = { repository: number; role: string; version: number; content: number }
  const superseded = sql.prepare<[number, number], Superseded>(
    `SELECT repository, role, version, content FROM file
     WHERE superseded_at IS NOT NULL AND superseded_at < ? AND role <> 'root' ORDER BY superseded_at LIMIT ?`,
  )
  const dropFile = sql.prepare<[number, string, number]>(
    'DELETE FROM file WHERE repository = ? AND role = ? AND version = ?',
  )
  const dropContent = sql.prepare<[number]>('DELETE FROM content WHERE id = ?')
  return (before, limit) => {
    const gone = superseded.all(before, limit)
    for (const { repository, role, version, content } of gone) {
      dropFile.run(repository, role, version)
      dropContent.run(content)
    }
    return gone.length
  }
}

/** Inside the caller's transaction. Answers false before it has written anything. */
function publisher(sql: Sql, select: Statement<[string], RepositoryRow>): (publication: Publication) => boolean {
  const create = sql.prepare<[string, number]>(
    `INSERT INTO repository (name, created_at, revision, timestamp_at, timestamp_expires, snapshot_expires)
     VALUES (?, ?, 1, 0, 0, 0)`,
  )
  const bump = sql.prepare<[number]>('UPDATE repository SET revision = revision + 1 WHERE id = ?')
  const forget = sql.prepare<[string, string]>('DELETE FROM online_key WHERE repository = ? AND keyid = ?')
  const store = fileWriter(sql)
  const prune = pruner(sql)
  const writeHistory = historyWriter(sql)
  const writeAudit = auditWriter(sql)
  return (publication) => {
    const { repository, base, at, files, changes = [], retire = [], audit, by, pruneBefore } = publication
    const row = select.get(repository)
    if ((row?.revision ?? 0) !== base) return false
    prune(pruneBefore, PRUNED_PER_PUBLISH)
    if (row !== undefined) bump.run(row.id)
    const id = row?.id ?? Number(create.run(repository, at).lastInsertRowid)
    for (const file of files) store(id, file, at)
    for (const change of changes) writeHistory(id, change, at, by)
    for (const key of retire) forget.run(repository, key)
    if (audit !== undefined) writeAudit(audit)
    return true
  }
}

function fileWriter(sql: Sql): (repository: number, file: NewFile, at: number) => void {
  const newest = sql.prepare<[number, string], { version: number | null }>(
    'SELECT max(version) AS version FROM file WHERE repository = ? AND role = ?',
  )
  const supersede = sql.prepare<[number, number, string]>(
    'UPDATE file SET superseded_at = ? WHERE repository = ? AND role = ? AND superseded_at IS NULL',
  )
  const insertContent = sql.prepare<[Uint8Array]>('INSERT INTO content (bytes) VALUES (?)')
  const insert = sql.prepare<[number, string, number, string, string, number, number, number, number, number]>(
    `INSERT INTO file (repository, role, version, sha256, sha512, length, expires, delegates, stored_at, content)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const timestampDue = sql.prepare<[number, number, number]>(
    'UPDATE repository SET timestamp_at = ?, timestamp_expires = ? WHERE id = ?',
  )
  const snapshotDue = sql.prepare<[number, number]>('UPDATE repository SET snapshot_expires = ? WHERE id = ?')
  return (id, file, at) => {
    const before = newest.get(id, file.role)?.version ?? 0
    if (file.version <= before) throw new RangeError(`${file.role} ${file.version} is not above ${before}`)
    supersede.run(at, id, file.role)
    const content = Number(insertContent.run(file.bytes).lastInsertRowid)
    const { role, version, sha256, sha512, bytes, expires } = file
    insert.run(id, role, version, sha256, sha512, bytes.length, expires, file.delegates ? 1 : 0, at, content)
    if (role === TIMESTAMP) timestampDue.run(at, expires, id)
    if (role === SNAPSHOT) snapshotDue.run(expires, id)
  }
}

function stateOf({ name, created_at, revision }: RepositoryRow, rows: readonly FileRow[]): RepositoryState {
  const files = new Map<RoleName, FileRecord>(rows.map((row) => [roleName(row.role), recordOf(row)]))
  return { name, createdAt: created_at, revision, files }
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
