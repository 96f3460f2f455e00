/** The one file that knows better-sqlite3 (ADR 0010): connections, their settings, their errors. */
import { chmodSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { ensureFolder } from '../../keys/folder.ts'
import { inWords } from '../system-words.ts'
import { StorageError } from './errors.ts'
import { MARKS_SCHEMA, MIGRATIONS } from './schema.ts'
import { auditIn } from './sqlite-audit.ts'
import { feedIn } from './sqlite-feed.ts'
import { keysIn } from './sqlite-keys.ts'
import { lengthenLog } from './sqlite-log.ts'
import { markWriter } from './sqlite-marks.ts'
import { metadataIn, readingIn } from './sqlite-metadata.ts'
import { proposalsIn } from './sqlite-proposals.ts'
import { recoveryIn } from './sqlite-recovery.ts'
import { settingsIn } from './sqlite-settings.ts'
import { sightingsIn } from './sqlite-sightings.ts'
import { tokensIn } from './sqlite-tokens.ts'
import type { Sql } from './sql.ts'
import type { ReadingStore, Store } from './store.ts'

export type SqliteOptions = {
  /** The folder; made with mode 0700 where it does not exist. */
  readonly dir: string
  /** The most bytes the database may have. */
  readonly maxBytes?: number
  /** The file of the marks. Whoever publishes keeps them; who only looks, or keeps tokens, needs none. */
  readonly marks?: string
}

const BUSY_TIMEOUT_MS = 5_000
const WAL_LIMIT_BYTES = 4 * 1024 * 1024
/** What fills it nearly: each page has a head of its own in it. */
const WAL_FILL_BYTES = (WAL_LIMIT_BYTES / 16) * 15

/** Whether a folder has a database already. */
export function isStoreIn(dir: string): boolean {
  return existsSync(join(dir, DATABASE))
}

export const DATABASE = 'tagseal.db'

/** The tables of one database file, and how to let go of them. */
export type Tables = {
  readonly sql: Sql
  /** Throws StorageError when it does not answer. */
  readonly check: () => void
  readonly close: () => void
}
export type TablesOptions = SqliteOptions & { readonly name: string; readonly migrations: readonly string[] }

/** Opens DIR/NAME, making or migrating it. */
export function openTables({ dir, name, migrations, maxBytes, marks }: TablesOptions): Tables {
  const path = join(dir, name)
  const db = translating(path, () => openDatabase(dir, path, migrations, maxBytes))
  const sql = sqlOver(db, path)
  if (marks !== undefined) translating(marks, () => closingAfterFailure(db, () => attachMarks(db, marks)))
  return {
    sql,
    check: () => void sql.run(() => db.prepare('SELECT count(*) FROM setting').get()),
    close: () => void db.close(),
  }
}

/** Opens DIR/tagseal.db, making or migrating it. Several processes may have it open; only one may be the server. */
export async function openSqliteStore(options: SqliteOptions): Promise<Store> {
  const { sql, check, close } = openTables({ ...options, name: DATABASE, migrations: MIGRATIONS })
  const { marks } = options
  return {
    metadata: metadataIn(sql, marks === undefined ? undefined : markWriter(sql)),
    recovery: marks === undefined ? undefined : recoveryIn(sql),
    feed: feedIn(sql),
    proposals: proposalsIn(sql),
    tokens: tokensIn(sql),
    sightings: sightingsIn(sql),
    keys: keysIn(sql),
    audit: auditIn(sql),
    settings: settingsIn(sql),
    makeReady: () => lengthenLog(sql, { path: join(options.dir, DATABASE), bytes: WAL_FILL_BYTES }),
    check: async () => check(),
    close: async () => close(),
  }
}

/** All pages at once: one read transaction, in which no publish can make the copy begin anew. */
const ALL_PAGES = 0x7fffffff

/** The database of a folder, also while a server works on it, into a file that is there and empty. */
export async function copyDatabase(dir: string, file: string): Promise<void> {
  const source = translating(dir, () => new Database(join(dir, DATABASE), { fileMustExist: true }))
  try {
    await source.backup(file, { progress: () => ALL_PAGES })
  } catch (error) {
    translating(file, () => {
      throw error
    })
  } finally {
    source.close()
  }
}

/** What a file holds, with nothing beside it afterwards. */
export function examineDatabase(path: string): { whole: boolean; ours: boolean; schema: number } {
  return translating(path, () => {
    const db = new Database(path, { fileMustExist: true })
    try {
      db.pragma('journal_mode = DELETE')
      const tables = db
        .prepare<[], { n: number }>(
          "SELECT count(*) AS n FROM sqlite_master WHERE type = 'table' AND name IN ('repository', 'online_key')",
        )
        .get()
      const whole = db.pragma('integrity_check(1)', { simple: true }) === 'ok'
      return { whole, ours: tables?.n === 2, schema: schemaOf(db) }
    } finally {
      db.close()
    }
  })
}

/**
 * Opens what another process has open as its store, to read and for nothing else. What that one has committed is seen
 * from the next call on. Throws where there is no database.
 */
export function openSqliteReading(dir: string): ReadingStore {
  const path = join(dir, DATABASE)
  const db = translating(path, () => new Database(path, { readonly: true, timeout: BUSY_TIMEOUT_MS }))
  const sql = sqlOver(db, path)
  const commits = db.prepare<[], number>('PRAGMA data_version').pluck()
  return {
    ...readingIn(sql),
    commits: () => sql.run(() => commits.get() ?? 0),
    close: () => void db.close(),
  }
}

/** Held for as long as a server works on the folder; the kernel lets go of it when the process dies in any way. */
export type DataLock = { readonly release: () => void }

/**
 * Takes the folder for this process. Throws DATA_IN_USE. An open SQLite transaction is the lock: it needs no pid file
 * that a crash would leave behind.
 */
export function lockData(dir: string): DataLock {
  const path = join(dir, 'server.lock')
  return translating(path, () => {
    ensureFolder(dir)
    const db = new Database(path, { timeout: 0 })
    try {
      db.pragma('journal_mode = MEMORY') // a journal in a file would need space, which a full disk has not
      db.exec('BEGIN EXCLUSIVE')
    } catch (error) {
      db.close()
      if (codeOf(error)?.startsWith('SQLITE_BUSY') === true) throw new StorageError('DATA_IN_USE', { path: dir })
      throw error
    }
    return { release: () => void db.close() }
  })
}

function openDatabase(
  dir: string,
  path: string,
  migrations: readonly string[],
  maxBytes: number | undefined,
): Database.Database {
  ensureFolder(dir)
  const db = new Database(path, { timeout: BUSY_TIMEOUT_MS })
  try {
    chmodSync(path, 0o600)
    // Takes effect on a new file only, and before anything is written; on another it would write, if to no effect.
    if (schemaOf(db) === 0) db.pragma('auto_vacuum = INCREMENTAL')
    db.pragma('journal_mode = WAL') // readers do not wait for a publish
    db.pragma('synchronous = FULL') // a lost publish would look like a rollback to every client
    db.pragma('wal_autocheckpoint = 4000') // pages: a publish of a megabyte should not pay for a checkpoint each time
    db.pragma(`journal_size_limit = ${WAL_LIMIT_BYTES}`)
    if (maxBytes !== undefined) db.pragma(`max_page_count = ${Math.max(64, Math.floor(maxBytes / pageSize(db)))}`)
    // Asked first: a transaction that writes cannot be had on a full disk, where reading shall go on.
    db.pragma('foreign_keys = OFF') // a step that makes a table anew drops the old one, rows and all
    if (schemaOf(db) !== migrations.length) db.transaction(() => migrate(db, path, migrations)).immediate()
    db.pragma('foreign_keys = ON')
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/**
 * In the transaction of a publish they are written after it, and without a wait of their own for the disk: where the power
 * fails they are behind by less than a minute, and never ahead.
 */
function attachMarks(db: Database.Database, path: string): void {
  db.prepare('ATTACH DATABASE ? AS marks').run(path)
  chmodSync(path, 0o600)
  db.pragma('marks.journal_mode = WAL')
  db.pragma('marks.synchronous = NORMAL')
  const has = db.prepare("SELECT 1 FROM marks.sqlite_master WHERE name = 'about'").get()
  if (has === undefined) db.transaction(() => db.exec(MARKS_SCHEMA)).immediate()
}

function closingAfterFailure(db: Database.Database, work: () => void): void {
  try {
    work()
  } catch (error) {
    db.close()
    throw error
  }
}

function pageSize(db: Database.Database): number {
  return Number(db.pragma('page_size', { simple: true }))
}

function schemaOf(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }))
}

/** Inside one immediate transaction: two processes that start at once migrate once. */
function migrate(db: Database.Database, path: string, migrations: readonly string[]): void {
  const has = schemaOf(db)
  if (has > migrations.length) throw new StorageError('STORAGE_NEWER', { path, has, known: migrations.length })
  for (const step of migrations.slice(has)) db.exec(step)
  db.pragma(`user_version = ${migrations.length}`)
}

function sqlOver(db: Database.Database, path: string): Sql {
  return {
    prepare: (source) => db.prepare(source),
    // IMMEDIATE: a transaction that reads first and writes later could otherwise lose its turn in between.
    write: (work) => translating(path, () => db.transaction(work).immediate()),
    run: (work) => translating(path, work),
    pragma: (source) => Number(db.pragma(source, { simple: true })),
    pragmaAll: (source) => void db.pragma(source),
  }
}

/** Errors of the database as ours, so that nobody above has to know SQLite's codes. */
function translating<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const code = codeOf(error)
    if (code === undefined) throw error
    if (code === 'SQLITE_FULL' || code === 'ENOSPC' || code === 'EDQUOT') {
      throw new StorageError('STORAGE_FULL', { path }, { cause: error })
    }
    // A broken constraint is a mistake of ours, not of the disk.
    if (code.startsWith('SQLITE_CONSTRAINT')) throw error
    throw new StorageError('STORAGE_UNAVAILABLE', { path, reason: inWords(code) }, { cause: error })
  }
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof StorageError || !(error instanceof Error) || !('code' in error)) return undefined
  const { code } = error
  if (typeof code !== 'string') return undefined
  return code.startsWith('SQLITE_') || /^E[A-Z]+$/.test(code) ? code : undefined
}
