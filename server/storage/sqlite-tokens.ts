import { readTexts } from './json.ts'
import type { Sql } from './sql.ts'
import { auditWriter } from './sqlite-audit.ts'
import type { Action, TokenRecord, TokenStore } from './store.ts'

type Row = {
  id: string
  name: string
  hash: string
  repository: string
  actions: string
  created_at: number
  expires_at: number | null
  revoked_at: number | null
  last_used_at: number | null
}

const COLUMNS = 'id, name, hash, repository, actions, created_at, expires_at, revoked_at, last_used_at'

export function tokensIn(sql: Sql): TokenStore {
  const writeAudit = auditWriter(sql)
  const insert = sql.prepare<[string, string, string, string, string, number, number | null]>(
    `INSERT INTO token (id, name, hash, repository, actions, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
  )
  const byHash = sql.prepare<[string], Row>(`SELECT ${COLUMNS} FROM token WHERE hash = ?`)
  const byId = sql.prepare<[string], Row>(`SELECT ${COLUMNS} FROM token WHERE id = ?`)
  const all = sql.prepare<[], Row>(`SELECT ${COLUMNS} FROM token ORDER BY created_at, rowid`)
  // A live token before a revoked one of the same name.
  const find = sql.prepare<[string, string], Row>(
    `SELECT ${COLUMNS} FROM token WHERE id = ? OR (name = ? AND revoked_at IS NULL) ORDER BY revoked_at NULLS FIRST`,
  )
  const revoke = sql.prepare<[number, string]>('UPDATE token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL')
  const used = sql.prepare<[number, string, number]>(
    'UPDATE token SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)',
  )
  return {
    async add({ id, name, hash, repository, actions, createdAt, expiresAt }, audit) {
      return sql.write(() => {
        const { changes } = insert.run(
          id,
          name,
          hash,
          repository,
          JSON.stringify(actions),
          createdAt,
          expiresAt ?? null,
        )
        if (changes === 1) writeAudit(audit)
        return changes === 1
      })
    },
    async byHash(hash) {
      const row = sql.run(() => byHash.get(hash))
      return row && tokenOf(row)
    },
    async byId(id) {
      const row = sql.run(() => byId.get(id))
      return row && tokenOf(row)
    },
    async list() {
      return sql.run(() => all.all().map(tokenOf))
    },
    async revoke(idOrName, at, audit) {
      return sql.write(() => {
        const row = find.get(idOrName, idOrName)
        if (row === undefined) return undefined
        if (revoke.run(at, row.id).changes === 0) return tokenOf(row)
        writeAudit(audit)
        return tokenOf({ ...row, revoked_at: at })
      })
    },
    async used(uses) {
      sql.write(() => {
        for (const [id, at] of uses) used.run(at, id, at)
      })
    },
  }
}

function tokenOf(row: Row): TokenRecord {
  return {
    id: row.id,
    name: row.name,
    hash: row.hash,
    repository: row.repository,
    actions: actionsOf(row.actions),
    createdAt: row.created_at,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
  }
}

function actionsOf(text: string): readonly Action[] {
  return readTexts(text).filter((each) => each === 'pull' || each === 'push' || each === 'admin')
}
