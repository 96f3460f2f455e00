import type { Sql } from './sql.ts'
import { auditWriter } from './sqlite-audit.ts'
import type { SettingStore } from './store.ts'

export function settingsIn(sql: Sql): SettingStore {
  const select = sql.prepare<[string], { value: Uint8Array }>('SELECT value FROM setting WHERE name = ?')
  const insert = sql.prepare<[string, Uint8Array]>('INSERT OR IGNORE INTO setting (name, value) VALUES (?, ?)')
  const upsert = sql.prepare<[string, Uint8Array]>(
    'INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  )
  const writeAudit = auditWriter(sql)
  return {
    async get(name) {
      return sql.run(() => select.get(name)?.value)
    },
    async settle(name, value) {
      return sql.write(() => {
        insert.run(name, value)
        return select.get(name)?.value ?? value
      })
    },
    async replace(name, value, audit) {
      sql.write(() => {
        upsert.run(name, value)
        writeAudit(audit)
      })
    },
  }
}
