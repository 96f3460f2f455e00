/** In which order delegators named the roles below them. */
import { readTexts } from './json.ts'
import type { Sql } from './sql.ts'
import type { MetadataStore, RoleChange } from './store.ts'

/** Inside the caller's transaction. */
export function orderWriter(sql: Sql): (repository: number, change: RoleChange, at: number, by?: string) => void {
  const insert = sql.prepare<[number, string, number, number, string, string | null, string]>(
    'INSERT INTO ordering (repository, delegator, version, at, keyids, by, before) VALUES (?, ?, ?, ?, ?, ?, ?)',
  )
  return (repository, { role, version, keyids, order }, at, by) => {
    if (order === undefined) return
    insert.run(repository, role, version, at, JSON.stringify(keyids), by ?? null, JSON.stringify(order))
  }
}

export function changedOrdersIn(sql: Sql): MetadataStore['changedOrders'] {
  type Changed = { delegator: string; version: number; at: number; keyids: string; by: string | null; before: string }
  const changed = sql.prepare<[string, number], Changed>(
    `SELECT last.delegator, last.version, last.at, last.keyids, last.by, first.before
     FROM (SELECT min(id) AS first, max(id) AS last FROM ordering
           WHERE repository = (SELECT id FROM repository WHERE name = ?) AND at >= ? GROUP BY delegator) AS ends
     JOIN ordering AS first ON first.id = ends.first JOIN ordering AS last ON last.id = ends.last
     ORDER BY ends.last`,
  )
  const added = sql.prepare<[string, number], { delegator: string; role: string }>(
    `SELECT delegator, role FROM
       (SELECT min(id) AS id FROM delegating
        WHERE repository = (SELECT id FROM repository WHERE name = ?) AND at >= ? GROUP BY delegator, role)
     JOIN delegating USING (id) WHERE before IS NULL`,
  )
  return async (repository, since) =>
    sql.run(() => {
      const rows = changed.all(repository, since)
      const late = rows.length === 0 ? new Map<string, Set<string>>() : rolesByDelegator(added.all(repository, since))
      return rows.flatMap(({ keyids, by, before, ...row }) => {
        const names = readTexts(before).filter((name) => late.get(row.delegator)?.has(name) !== true)
        if (names.length < 2) return []
        return [{ ...row, keyids: readTexts(keyids), ...(by === null ? {} : { by }), before: names }]
      })
    })
}

function rolesByDelegator(
  rows: readonly { readonly delegator: string; readonly role: string }[],
): ReadonlyMap<string, Set<string>> {
  const roles = new Map<string, Set<string>>()
  for (const { delegator, role } of rows) {
    const own = roles.get(delegator) ?? new Set<string>()
    roles.set(delegator, own.add(role))
  }
  return roles
}
