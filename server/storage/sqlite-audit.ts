import { readObject } from './json.ts'
import type { Sql } from './sql.ts'
import type { AuditEntry, AuditStore, NewAuditEntry } from './store.ts'

type Row = {
  id: number
  at: number
  actor: string | null
  action: string
  subject: string
  request: string | null
  detail: string | null
}

/** Writes an entry inside the caller's transaction: an act and its record are stored together. */
export function auditWriter(sql: Sql): (entry: NewAuditEntry) => void {
  const insert = sql.prepare<[number, string | null, string, string, string | null, string | null]>(
    'INSERT INTO audit (at, actor, action, subject, request, detail) VALUES (?, ?, ?, ?, ?, ?)',
  )
  return ({ at, actor, action, subject, request, detail }) => {
    insert.run(
      at,
      actor ?? null,
      action,
      subject,
      request ?? null,
      detail === undefined ? null : JSON.stringify(detail),
    )
  }
}

export function auditIn(sql: Sql): AuditStore {
  const write = auditWriter(sql)
  const page = sql.prepare<[number, number], Row>(
    'SELECT id, at, actor, action, subject, request, detail FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?',
  )
  return {
    async add(entry) {
      sql.write(() => write(entry))
    },
    async list({ limit, from }) {
      return sql.run(() => page.all(from ?? Number.MAX_SAFE_INTEGER, limit).map(entryOf))
    },
  }
}

function entryOf({ id, at, actor, action, subject, request, detail }: Row): AuditEntry {
  return {
    id,
    at,
    action,
    subject,
    ...(actor === null ? {} : { actor }),
    ...(request === null ? {} : { request }),
    ...(detail === null ? {} : { detail: readObject(detail) }),
  }
}
