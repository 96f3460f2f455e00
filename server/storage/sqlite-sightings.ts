import type { Sql } from './sql.ts'
import type { Sighting, SightingStore } from './store.ts'

export function sightingsIn(sql: Sql): SightingStore {
  const upsert = sql.prepare<[string, number, number, string]>(
    `INSERT INTO sighting (repository, who, version, at)
     SELECT id, ?, ?, ? FROM repository WHERE name = ?
     ON CONFLICT (repository, who) DO UPDATE SET version = excluded.version, at = excluded.at WHERE at <= excluded.at`,
  )
  // The ones that were seen last stay.
  const trim = sql.prepare<[string, number]>(
    `DELETE FROM sighting WHERE (repository, who) IN (
       SELECT repository, who FROM sighting WHERE repository = (SELECT id FROM repository WHERE name = ?)
       ORDER BY at DESC, who LIMIT -1 OFFSET ?)`,
  )
  const list = sql.prepare<[string, number], Sighting>(
    `SELECT who, version, at FROM sighting WHERE repository = (SELECT id FROM repository WHERE name = ?)
     ORDER BY at DESC, who LIMIT ?`,
  )
  const prune = sql.prepare<[number, number]>(
    `DELETE FROM sighting WHERE (repository, who) IN (SELECT repository, who FROM sighting WHERE at < ? LIMIT ?)`,
  )
  return {
    async saw(seen, most) {
      sql.write(() => {
        for (const [repository, sightings] of seen) {
          for (const { who, version, at } of sightings) upsert.run(who, version, at, repository)
          trim.run(repository, most)
        }
      })
    },
    async list(repository, limit) {
      return sql.run(() => list.all(repository, limit))
    },
    async prune(before, limit) {
      return sql.run(() => prune.run(before, limit).changes)
    },
  }
}
