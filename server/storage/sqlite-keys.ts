import { keyId } from '../../tuf/index.ts'
import type { Sql } from './sql.ts'
import type { OnlineKeyRecord, OnlineKeyStore, OnlineRole } from './store.ts'

type Row = {
  repository: string
  role: OnlineRole
  keyid: string
  keytype: string
  scheme: string
  public: string
  sealed: Uint8Array
  created_at: number
}

export function keysIn(sql: Sql): OnlineKeyStore {
  const select = sql.prepare<[string, string], Row>(
    `SELECT repository, role, keyid, keytype, scheme, public, sealed, created_at FROM online_key
     WHERE repository = ? AND role = ? ORDER BY created_at, keyid`,
  )
  const insert = sql.prepare<[string, string, string, string, string, string, Uint8Array, number]>(
    `INSERT INTO online_key (repository, role, keyid, keytype, scheme, public, sealed, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  return {
    async add(key, fresh) {
      return sql.write(() => {
        const instead = fresh(select.all(key.repository, key.role).map(keyOf))
        if (instead !== undefined) return instead
        const { repository, role, keyid, keytype, scheme, sealed, createdAt } = key
        insert.run(repository, role, keyid, keytype, scheme, key.public, sealed, createdAt)
        return key
      })
    },
    async list(repository, role) {
      return sql.run(() => select.all(repository, role).map(keyOf))
    },
  }
}

function keyOf({ keyid, created_at, ...row }: Row): OnlineKeyRecord {
  return { ...row, keyid: keyId(keyid), createdAt: created_at }
}
