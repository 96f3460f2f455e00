import { decodeHex } from '../../tuf/index.ts'
import { readTexts } from './json.ts'
import type { Sql } from './sql.ts'
import type { HistoryEntry, MetadataStore, RoleChange, TagChange } from './store.ts'

type Row = {
  id: number
  tag: string
  at: number
  digest: Uint8Array | null
  length: number | null
  role: string
  version: number
  keyids: string
  by: string | null
}

/** Inside the caller's transaction. Only tags whose meaning changed cost a row. */
export function historyWriter(sql: Sql): (repository: number, change: RoleChange, at: number, by?: string) => void {
  const insertPublication = sql.prepare<[number, string, number, number, string, string | null]>(
    'INSERT INTO publication (repository, role, version, at, keyids, by) VALUES (?, ?, ?, ?, ?, ?)',
  )
  const insertMeaning = sql.prepare<[number, string, number, Uint8Array | null, number | null]>(
    'INSERT INTO meaning (repository, tag, publication, digest, length) VALUES (?, ?, ?, ?, ?)',
  )
  return (repository, { role, version, keyids, tags }, at, by) => {
    if (tags.length === 0) return
    const { lastInsertRowid } = insertPublication.run(repository, role, version, at, JSON.stringify(keyids), by ?? null)
    for (const change of tags) {
      const { tag, meaning } = change
      insertMeaning.run(repository, tag, Number(lastInsertRowid), rawDigest(change), meaning?.length ?? null)
    }
  }
}

export function historyIn(sql: Sql): MetadataStore['history'] {
  const page = sql.prepare<[string, string, number, number], Row>(
    `SELECT publication.id AS id, tag, at, digest, length, role, version, keyids, by
     FROM meaning JOIN publication ON publication.id = meaning.publication
     WHERE meaning.repository = (SELECT id FROM repository WHERE name = ?) AND tag = ? AND publication < ?
     ORDER BY publication DESC LIMIT ?`,
  )
  return async (repository, tag, { limit, from }) =>
    sql.run(() => page.all(repository, tag, from ?? Number.MAX_SAFE_INTEGER, limit).map(entryOf))
}

/** The algorithm is told by the length. */
function rawDigest({ meaning }: TagChange): Uint8Array | null {
  if (meaning === undefined) return null
  return decodeHex(meaning.digest.slice(meaning.digest.indexOf(':') + 1)) ?? new Uint8Array()
}

function entryOf({ digest, length, keyids, by, ...row }: Row): HistoryEntry {
  return {
    ...row,
    keyids: readTexts(keyids),
    ...(digest === null || length === null ? {} : { meaning: { digest: digestText(digest), length } }),
    ...(by === null ? {} : { by }),
  }
}

function digestText(raw: Uint8Array): string {
  return `${raw.length === 64 ? 'sha512' : 'sha256'}:${Buffer.from(raw).toString('hex')}`
}
