import { decodeHex, encodeHex } from '../../tuf/index.ts'
import { readDelegation, readTexts } from './json.ts'
import { orderWriter } from './sqlite-ordering.ts'
import type { Sql } from './sql.ts'
import type { DelegationEntry, HistoryEntry, Meaning, MetadataStore, RoleChange, TagChange } from './store.ts'

type Row = {
  id: number
  tag: string
  at: number
  digest: Uint8Array | null
  length: number | null
  besides: Uint8Array | null
  role: string
  version: number
  keyids: string
  by: string | null
}

type Writer = (repository: number, change: RoleChange, at: number, by?: string) => void

/** Inside the caller's transaction. Only what changed costs a row: a tag's meaning, a delegation, their order. */
export function historyWriter(sql: Sql): Writer {
  const insertPublication = sql.prepare<[number, string, number, number, string, string | null]>(
    'INSERT INTO publication (repository, role, version, at, keyids, by) VALUES (?, ?, ?, ?, ?, ?)',
  )
  const insertMeaning = sql.prepare<[number, string, number, Uint8Array | null, number | null, Uint8Array | null]>(
    'INSERT INTO meaning (repository, tag, publication, digest, length, besides) VALUES (?, ?, ?, ?, ?, ?)',
  )
  const writeDelegations = delegationWriter(sql)
  const writeOrder = orderWriter(sql)
  return (repository, change, at, by) => {
    writeDelegations(repository, change, at, by)
    writeOrder(repository, change, at, by)
    const { role, version, keyids, tags } = change
    if (tags.length === 0) return
    const { lastInsertRowid } = insertPublication.run(repository, role, version, at, JSON.stringify(keyids), by ?? null)
    for (const each of tags) {
      const { tag, meaning } = each
      const { length = null, besides } = meaning ?? {}
      const raw = besides === undefined ? null : (decodeHex(besides) ?? null)
      insertMeaning.run(repository, tag, Number(lastInsertRowid), rawDigest(each), length, raw)
    }
  }
}

function delegationWriter(sql: Sql): Writer {
  type Values = [number, string, string, number, number, string, string | null, string | null, string | null]
  const insert = sql.prepare<Values>(
    `INSERT INTO delegating (repository, delegator, role, version, at, keyids, by, before, entry)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  const textOf = (entry?: DelegationEntry) => (entry === undefined ? null : JSON.stringify(entry))
  return (repository, { role: delegator, version, keyids, delegations = [] }, at, by) => {
    const signers = JSON.stringify(keyids)
    for (const { role, before, entry } of delegations) {
      insert.run(repository, delegator, role, version, at, signers, by ?? null, textOf(before), textOf(entry))
    }
  }
}

export function changedTagsIn(sql: Sql): MetadataStore['changedTags'] {
  const page = sql.prepare<[string, number, string, number], { tag: string }>(
    `SELECT DISTINCT tag FROM meaning JOIN publication ON publication.id = meaning.publication
     WHERE meaning.repository = (SELECT id FROM repository WHERE name = ?) AND at >= ? AND tag > ?
     ORDER BY tag LIMIT ?`,
  )
  return async (repository, since, { limit, from = '' }) =>
    sql.run(() => page.all(repository, since, from, limit).map(({ tag }) => tag))
}

export function changedDelegationsIn(sql: Sql): MetadataStore['changedDelegations'] {
  type Changed = Pick<Row, 'id' | 'role' | 'version' | 'at' | 'keyids' | 'by'> & {
    delegator: string
    before: string | null
  }
  const changed = sql.prepare<[string, number, number, number], Changed>(
    `SELECT last.id, last.delegator, last.role, last.version, last.at, last.keyids, last.by, first.before
     FROM (SELECT min(id) AS first, max(id) AS last FROM delegating
           WHERE repository = (SELECT id FROM repository WHERE name = ?) AND at >= ? GROUP BY delegator, role) AS ends
     JOIN delegating AS first ON first.id = ends.first JOIN delegating AS last ON last.id = ends.last
     WHERE ends.last > ? ORDER BY ends.last LIMIT ?`,
  )
  return async (repository, since, { limit, from = 0 }) =>
    sql.run(() =>
      changed.all(repository, since, from, limit).map(({ keyids, by, before, ...row }) => ({
        ...row,
        keyids: readTexts(keyids),
        ...(by === null ? {} : { by }),
        ...(before === null ? {} : { before: readDelegation(before) }),
      })),
    )
}

export function historyIn(sql: Sql): MetadataStore['history'] {
  const page = sql.prepare<[string, string, number, number], Row>(
    `SELECT publication.id AS id, tag, at, digest, length, besides, role, version, keyids, by
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

function entryOf({ digest, length, besides, keyids, by, ...row }: Row): HistoryEntry {
  return {
    ...row,
    keyids: readTexts(keyids),
    ...(digest === null || length === null ? {} : { meaning: meaningOf(digest, length, besides) }),
    ...(by === null ? {} : { by }),
  }
}

function meaningOf(digest: Uint8Array, length: number, besides: Uint8Array | null): Meaning {
  const more = besides === null ? {} : { besides: encodeHex(besides) }
  return { digest: digestText(digest), length, ...more }
}

function digestText(raw: Uint8Array): string {
  return `${raw.length === 64 ? 'sha512' : 'sha256'}:${Buffer.from(raw).toString('hex')}`
}
