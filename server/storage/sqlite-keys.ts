import { keyId } from '../../tuf/index.ts'
import type { Sql } from './sql.ts'
import type { HeldAt, OnlineKeyRecord, OnlineKeyStore, OnlineRole } from './store.ts'

type Row = {
  repository: string
  role: OnlineRole
  keyid: string
  keytype: string
  scheme: string
  public: string
  sealed: Uint8Array | null
  signer: string | null
  created_at: number
}

export function keysIn(sql: Sql): OnlineKeyStore {
  const select = sql.prepare<[string, string], Row>(
    // Not sorted here: SQLite compiles such a statement anew each time, which costs more than what it finds.
    `SELECT repository, role, keyid, keytype, scheme, public, sealed, signer, created_at FROM online_key
     WHERE repository = ? AND role = ?`,
  )
  const list = (repository: string, role: OnlineRole) => select.all(repository, role).sort(oldestFirst).map(keyOf)
  const insert = sql.prepare<
    [string, string, string, string, string, string, Uint8Array | null, string | null, number]
  >(
    `INSERT INTO online_key (repository, role, keyid, keytype, scheme, public, sealed, signer, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const other = sql.prepare<[string, string]>('SELECT 1 FROM online_key WHERE keyid = ? AND repository <> ? LIMIT 1')
  const forget = sql.prepare<[string, string, string]>(
    'DELETE FROM online_key WHERE repository = ? AND role = ? AND keyid = ?',
  )
  return {
    async add(key, fresh, replaces = () => []) {
      return sql.write(() => {
        const kept = list(key.repository, key.role)
        const instead = fresh(kept)
        if (instead !== undefined) return instead
        for (const each of replaces(kept)) forget.run(each.repository, each.role, each.keyid)
        const { repository, role, keyid, keytype, scheme, sealed = null, signer = null, createdAt } = key
        insert.run(repository, role, keyid, keytype, scheme, key.public, sealed, signer, createdAt)
        return key
      })
    },
    async list(repository, role) {
      return sql.run(() => list(repository, role))
    },
    async isElsewhere(keyid, repository) {
      return sql.run(() => other.get(keyid, repository) !== undefined)
    },
  }
}

function oldestFirst(a: Row, b: Row): number {
  return a.created_at - b.created_at || (a.keyid < b.keyid ? -1 : 1)
}

function keyOf({ keyid, created_at, sealed, signer, ...row }: Row): OnlineKeyRecord {
  return { ...row, ...heldAt(sealed, signer), keyid: keyId(keyid), createdAt: created_at }
}

function heldAt(sealed: Uint8Array | null, signer: string | null): HeldAt {
  return signer === null ? { sealed: sealed ?? new Uint8Array() } : { signer }
}
