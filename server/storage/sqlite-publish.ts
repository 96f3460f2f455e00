/** What changes a repository, as pieces of one transaction. */
import { SNAPSHOT, TIMESTAMP } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import type { Sql, Statement } from './sql.ts'
import { auditWriter } from './sqlite-audit.ts'
import { feedWriter } from './sqlite-feed.ts'
import { historyWriter } from './sqlite-history.ts'
import type { MarkWriter } from './sqlite-marks.ts'
import type { Dialect, NewFile, Publication, Removal } from './store.ts'

export type RepositoryRow = { id: number; name: string; created_at: number; revision: number; dialect: Dialect }

/** In one publish; what is left over goes in the next one, or with the timer. */
const PRUNED_PER_PUBLISH = 8

/** Inside the caller's transaction. Answers false before it has written anything. */
export function publisher(
  sql: Sql,
  select: Statement<[string], RepositoryRow>,
  marks: MarkWriter | undefined,
): (publication: Publication) => boolean {
  const create = creator(sql)
  const bump = sql.prepare<[number]>('UPDATE repository SET revision = revision + 1 WHERE id = ?')
  const holds = sql.prepare<[number, number]>('UPDATE repository SET holds_snapshot = ? WHERE id = ?')
  const forget = sql.prepare<[string, string]>('DELETE FROM online_key WHERE repository = ? AND keyid = ?')
  const arrived = sql.prepare<[string, string, number]>(
    'DELETE FROM awaited WHERE repository = ? AND role = ? AND version <= ?',
  )
  const supersede = superseder(sql)
  const store = fileWriter(sql)
  const prune = pruner(sql)
  const writeHistory = historyWriter(sql)
  const writeAudit = auditWriter(sql)
  const tell = feedWriter(sql)
  const complete = sql.prepare<[string, string]>('DELETE FROM proposal WHERE repository = ? AND id = ?')
  return (publication) => {
    const { repository, base, at, files, leaving = [], changes = [], retire = [], audit, by } = publication
    const row = select.get(repository)
    if ((row?.revision ?? 0) !== base) return false
    prune(publication.pruneBefore, PRUNED_PER_PUBLISH)
    if (row !== undefined) bump.run(row.id)
    const id = row?.id ?? create(publication)
    if (publication.holdsSnapshot !== undefined) holds.run(publication.holdsSnapshot ? 1 : 0, id)
    for (const role of leaving) supersede(id, role, at)
    for (const file of files) {
      store(id, file, at)
      const { version, sha256 } = file
      arrived.run(repository, file.role, version)
      if (file.role === TIMESTAMP) tell({ at, repository, version, sha256, category: 'update' })
    }
    marks?.published(repository, files, leaving)
    for (const change of changes) writeHistory(id, change, at, by)
    for (const key of retire) forget.run(repository, key)
    if (publication.completes !== undefined) complete.run(repository, publication.completes)
    if (audit !== undefined) writeAudit(audit)
    return true
  }
}

function creator(sql: Sql): (publication: Publication) => number {
  const create = sql.prepare<[string, number, string, string]>(
    `INSERT INTO repository (name, created_at, dialect, revision, timestamp_at, timestamp_expires, snapshot_expires)
     VALUES (?, ?, ?, 1 + coalesce((SELECT revision FROM deleted WHERE name = ?), 0), 0, 0, 0)`,
  )
  return ({ repository, at, dialect = 'tuf-1.0' }) =>
    Number(create.run(repository, at, dialect, repository).lastInsertRowid)
}

function superseder(sql: Sql): (repository: number, role: RoleName, at: number) => void {
  const supersede = sql.prepare<[number, number, string]>(
    'UPDATE file SET superseded_at = ? WHERE repository = ? AND role = ? AND superseded_at IS NULL',
  )
  return (repository, role, at) => {
    supersede.run(at, repository, role)
  }
}

function fileWriter(sql: Sql): (repository: number, file: NewFile, at: number) => void {
  const makeRoom = roomMaker(sql)
  const supersede = superseder(sql)
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
    makeRoom(id, file)
    supersede(id, file.role, at)
    const content = Number(insertContent.run(file.bytes).lastInsertRowid)
    const { role, version, sha256, sha512, bytes, expires } = file
    insert.run(id, role, version, sha256, sha512, bytes.length, expires, file.delegates ? 1 : 0, at, content)
    if (role === TIMESTAMP) timestampDue.run(at, expires, id)
    if (role === SNAPSHOT) snapshotDue.run(expires, id)
  }
}

/** Refuses a version not above the role's current one. A role that had left begins anew: its old files go. */
function roomMaker(sql: Sql): (repository: number, file: NewFile) => void {
  type Kept = { version: number; superseded: number | null; content: number }
  const notBelow = sql.prepare<[number, string, number], Kept>(
    `SELECT version, superseded_at AS superseded, content FROM file
     WHERE repository = ? AND role = ? AND version >= ?`,
  )
  const drop = dropper(sql)
  return (id, { role, version }) => {
    const rows = notBelow.all(id, role, version)
    const current = rows.find(({ superseded }) => superseded === null)
    if (current !== undefined) throw new RangeError(`${role} ${version} is not above ${current.version}`)
    for (const row of rows) drop(id, role, row.version, row.content)
  }
}

function dropper(sql: Sql): (repository: number, role: string, version: number, content: number) => void {
  const dropFile = sql.prepare<[number, string, number]>(
    'DELETE FROM file WHERE repository = ? AND role = ? AND version = ?',
  )
  const dropContent = sql.prepare<[number]>('DELETE FROM content WHERE id = ?')
  return (repository, role, version, content) => {
    dropFile.run(repository, role, version)
    dropContent.run(content)
  }
}

/** Inside the caller's transaction. */
export function remover(
  sql: Sql,
  select: Statement<[string], RepositoryRow>,
  marks: MarkWriter | undefined,
): (removal: Removal) => boolean {
  const files = sql.prepare<[number], { role: string; version: number; content: number }>(
    'SELECT role, version, content FROM file WHERE repository = ?',
  )
  const drop = dropper(sql)
  const dropMeanings = sql.prepare<[number]>('DELETE FROM meaning WHERE repository = ?')
  const dropDelegations = sql.prepare<[number]>('DELETE FROM delegating WHERE repository = ?')
  const dropOrders = sql.prepare<[number]>('DELETE FROM ordering WHERE repository = ?')
  const dropSightings = sql.prepare<[number]>('DELETE FROM sighting WHERE repository = ?')
  const dropPublications = sql.prepare<[number]>('DELETE FROM publication WHERE repository = ?')
  const dropRepository = sql.prepare<[number]>('DELETE FROM repository WHERE id = ?')
  const dropProposals = sql.prepare<[string]>('DELETE FROM proposal WHERE repository = ?')
  const dropAwaited = sql.prepare<[string]>('DELETE FROM awaited WHERE repository = ?')
  const newest = sql.prepare<[number, string], { version: number | null }>(
    'SELECT max(version) AS version FROM file WHERE repository = ? AND role = ?',
  )
  const remember = sql.prepare<[string, number, number, number]>(
    // What was remembered before stays: a repository in between may have had other keys, and none of ours.
    `INSERT INTO deleted (name, revision, timestamp, snapshot) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
     revision = excluded.revision, timestamp = max(timestamp, excluded.timestamp),
     snapshot = max(snapshot, excluded.snapshot)`,
  )
  const tell = feedWriter(sql)
  const writeAudit = auditWriter(sql)
  return ({ repository, at, audit }) => {
    const row = select.get(repository)
    if (row === undefined) return false
    const [timestamp, snapshot] = [TIMESTAMP, SNAPSHOT].map((role) => newest.get(row.id, role)?.version ?? 0)
    for (const { role, version, content } of files.all(row.id)) drop(row.id, role, version, content)
    dropMeanings.run(row.id)
    dropDelegations.run(row.id)
    dropOrders.run(row.id)
    dropSightings.run(row.id)
    dropPublications.run(row.id)
    dropRepository.run(row.id)
    dropProposals.run(repository)
    remember.run(repository, row.revision, timestamp ?? 0, snapshot ?? 0)
    dropAwaited.run(repository)
    tell({ at, repository, version: 0, sha256: '', category: 'deletion' })
    marks?.removed(repository)
    writeAudit(audit)
    return true
  }
}

/** Inside the caller's transaction. */
export function pruner(sql: Sql): (before: number, limit: number) => number {
  type Superseded = { repository: number; role: string; version: number; content: number }
  const superseded = sql.prepare<[number, number], Superseded>(
    `SELECT repository, role, version, content FROM file
     WHERE superseded_at IS NOT NULL AND superseded_at < ? AND role <> 'root' ORDER BY superseded_at LIMIT ?`,
  )
  const drop = dropper(sql)
  return (before, limit) => {
    const gone = superseded.all(before, limit)
    for (const { repository, role, version, content } of gone) drop(repository, role, version, content)
    return gone.length
  }
}
