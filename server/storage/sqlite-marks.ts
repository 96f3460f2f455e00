import type { Sql } from './sql.ts'
import type { NewFile } from './store.ts'

/** Writes down outside the database what is published in it. Inside the caller's transaction. */
export type MarkWriter = {
  readonly published: (repository: string, files: readonly NewFile[], leaving: readonly string[]) => void
  /** What our keys signed is remembered beyond a deletion. */
  readonly removed: (repository: string) => void
}

export function markWriter(sql: Sql): MarkWriter {
  const leave = sql.prepare<[string, string]>('DELETE FROM marks.mark WHERE repository = ? AND role = ?')
  const outdate = sql.prepare<[string, string, number]>(
    "DELETE FROM marks.mark WHERE repository = ? AND role = ? AND version <= ? AND role <> 'root'",
  )
  const insert = sql.prepare<[string, string, number, string]>(
    'INSERT OR REPLACE INTO marks.mark (repository, role, version, sha256) VALUES (?, ?, ?, ?)',
  )
  const remove = sql.prepare<[string]>(
    "DELETE FROM marks.mark WHERE repository = ? AND role NOT IN ('timestamp', 'snapshot')",
  )
  // Every publish and every deletion tells the feed, whose numbers are never used twice.
  const count = sql.prepare<[]>(
    `INSERT OR REPLACE INTO marks.about (name, value)
     SELECT 'sequence', CAST(seq AS TEXT) FROM main.sqlite_sequence WHERE name = 'feed'`,
  )
  return {
    published(repository, files, leaving) {
      for (const role of leaving) leave.run(repository, role)
      for (const { role, version, sha256 } of files) {
        outdate.run(repository, role, version)
        insert.run(repository, role, version, sha256)
      }
      count.run()
    },
    removed(repository) {
      remove.run(repository)
      count.run()
    },
  }
}
