import type { Sql } from './sql.ts'
import type { FeedEntry, FeedStore } from './store.ts'

/** Inside the caller's transaction: what happened and the row that tells of it are stored together. */
export function feedWriter(sql: Sql): (entry: Omit<FeedEntry, 'id'>) => void {
  const insert = sql.prepare<[number, string, number, string, string]>(
    'INSERT INTO feed (at, repository, version, sha256, category) VALUES (?, ?, ?, ?, ?)',
  )
  return ({ at, repository, version, sha256, category }) => {
    insert.run(at, repository, version, sha256, category)
  }
}

export function feedIn(sql: Sql): FeedStore {
  const page = (which: string) =>
    `SELECT id, at, repository, version, sha256, category FROM feed WHERE ${which} LIMIT ?`
  const after = sql.prepare<[number, number], FeedEntry>(page('id > ? ORDER BY id'))
  const afterOf = sql.prepare<[string, number, number], FeedEntry>(page('repository = ? AND id > ? ORDER BY id'))
  const before = sql.prepare<[number, number], FeedEntry>(page('id < ? ORDER BY id DESC'))
  const beforeOf = sql.prepare<[string, number, number], FeedEntry>(page('repository = ? AND id < ? ORDER BY id DESC'))
  const prune = sql.prepare<[number, number]>(
    `DELETE FROM feed WHERE id IN (
       SELECT id FROM feed AS old WHERE category = 'update' AND at < ?
       AND EXISTS (SELECT 1 FROM feed AS later WHERE later.repository = old.repository AND later.id > old.id)
       ORDER BY at LIMIT ?)`,
  )
  return {
    async prune(before, limit) {
      return sql.write(() => prune.run(before, limit).changes)
    },
    async after({ from, limit }, repository) {
      return sql.run(() => (repository === undefined ? after.all(from, limit) : afterOf.all(repository, from, limit)))
    },
    async before({ from = Number.MAX_SAFE_INTEGER, limit }, repository) {
      const found = sql.run(() =>
        repository === undefined ? before.all(from, limit) : beforeOf.all(repository, from, limit),
      )
      return found.reverse()
    },
  }
}
