import { keyId, roleName } from '../../tuf/index.ts'
import type { Sql } from './sql.ts'
import { auditWriter } from './sqlite-audit.ts'
import type {
  NewProposal,
  ProposalBounds,
  ProposalOutcome,
  ProposalRecord,
  ProposalStore,
  ProposedContent,
  ProposedSignature,
  ProposedVersion,
} from './store.ts'

type Row = { id: string; created_at: number; expires_at: number; by: string | null; stale: number }
type FileRow = { role: string; version: number }
type ContentRow = FileRow & { bytes: Uint8Array; base: Uint8Array | null }
type SignatureRow = { role: string; keyid: string; sig: Uint8Array }

/** Whether a version that the proposal has is taken. */
const STALE = `EXISTS (
  SELECT 1 FROM proposed_file JOIN repository ON repository.name = proposed_file.repository
  JOIN file ON file.repository = repository.id AND file.role = proposed_file.role AND file.superseded_at IS NULL
  WHERE proposed_file.repository = proposal.repository AND proposed_file.proposal = proposal.id
  AND file.version >= proposed_file.version)`
const RECORD = `SELECT id, created_at, expires_at, by, ${STALE} AS stale FROM proposal`

export function proposalsIn(sql: Sql): ProposalStore {
  const byId = sql.prepare<[string, string, number], Row>(
    `${RECORD} WHERE repository = ? AND id = ? AND expires_at > ?`,
  )
  const all = sql.prepare<[string, number], Row>(
    `${RECORD} WHERE repository = ? AND expires_at > ? ORDER BY created_at, id`,
  )
  const versions = sql.prepare<[string, string], FileRow>(
    'SELECT role, version FROM proposed_file WHERE repository = ? AND proposal = ? ORDER BY role',
  )
  const contents = sql.prepare<[string, string], ContentRow>(
    'SELECT role, version, bytes, base FROM proposed_file WHERE repository = ? AND proposal = ? ORDER BY role',
  )
  const signatures = sql.prepare<[string, string], SignatureRow>(
    'SELECT role, keyid, sig FROM proposed_signature WHERE repository = ? AND proposal = ? ORDER BY role, keyid',
  )
  const remove = sql.prepare<[string, string]>('DELETE FROM proposal WHERE repository = ? AND id = ?')
  const expired = sql.prepare<[number, number]>(
    `DELETE FROM proposal WHERE (repository, id) IN (
       SELECT repository, id FROM proposal WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
  )
  const known = sql.prepare<[string, string], { id: string }>('SELECT id FROM proposal WHERE repository = ? AND id = ?')
  const signOn = signatureWriter(sql)
  const keep = keeper(sql)
  const audited = auditWriter(sql)
  const recordOf = <F>(repository: string, row: Row, files: readonly F[]) => ({
    id: row.id,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    ...(row.by === null ? {} : { by: row.by }),
    stale: row.stale === 1,
    files,
    signatures: signatures.all(repository, row.id).map(signatureOf),
  })
  return {
    async add(proposal, bounds, audit) {
      return sql.write(() => {
        const outcome = keep(proposal, bounds)
        if (outcome.kind === 'kept') audited(audit)
        return outcome
      })
    },
    async sign(repository, id, added, audit) {
      return sql.write(() => {
        if (known.get(repository, id) === undefined) return false
        signOn(repository, id, added)
        audited(audit)
        return true
      })
    },
    async list(repository, now): Promise<readonly ProposalRecord[]> {
      return sql.run(() =>
        all
          .all(repository, now)
          .map((row) => recordOf(repository, row, versions.all(repository, row.id).map(versionOf))),
      )
    },
    async get(repository, id, now) {
      return sql.run(() => {
        const row = byId.get(repository, id, now)
        return row && recordOf(repository, row, contents.all(repository, id).map(contentOf))
      })
    },
    async withdraw(repository, id, audit) {
      return sql.write(() => {
        const { changes } = remove.run(repository, id)
        if (changes > 0) audited(audit)
        return changes > 0
      })
    },
    async prune(now, limit) {
      return sql.write(() => expired.run(now, limit).changes)
    },
  }
}

/** Inside the caller's transaction. */
function keeper(sql: Sql): (proposal: NewProposal, bounds: ProposalBounds) => ProposalOutcome {
  const insert = sql.prepare<[string, string, string, number, number, string | null, number]>(
    `INSERT INTO proposal (repository, id, likeness, created_at, expires_at, by, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)`,
  )
  const insertFile = sql.prepare<[string, string, string, number, Uint8Array, Uint8Array | null]>(
    'INSERT INTO proposed_file (repository, proposal, role, version, bytes, base) VALUES (?, ?, ?, ?, ?, ?)',
  )
  const like = sql.prepare<[string, string], { id: string }>(
    'SELECT id FROM proposal WHERE repository = ? AND likeness = ?',
  )
  const dropExpired = sql.prepare<[string, number]>('DELETE FROM proposal WHERE repository = ? AND expires_at <= ?')
  const fits = roomMaker(sql)
  const signOn = signatureWriter(sql)
  return ({ repository, id, likeness, createdAt, expiresAt, by, files, signatures }, bounds) => {
    dropExpired.run(repository, createdAt)
    const there = like.get(repository, likeness)?.id
    if (there !== undefined && there !== id) return { kind: 'like', id: there }
    if (there === undefined) {
      const bytes = files.reduce((sum, file) => sum + file.bytes.length + (file.base?.length ?? 0), 0)
      if (!fits(repository, bytes, bounds)) return { kind: 'full' }
      insert.run(repository, id, likeness, createdAt, expiresAt, by ?? null, bytes)
      for (const file of files) insertFile.run(repository, id, file.role, file.version, file.bytes, file.base ?? null)
    }
    signOn(repository, id, signatures)
    return { kind: 'kept' }
  }
}

/** Takes stale ones away until there is room. */
function roomMaker(sql: Sql): (repository: string, bytes: number, bounds: ProposalBounds) => boolean {
  const used = sql.prepare<[string], { many: number; size: number }>(
    'SELECT count(*) AS many, coalesce(sum(bytes), 0) AS size FROM proposal WHERE repository = ?',
  )
  const dropStale = sql.prepare<[string]>(
    `DELETE FROM proposal WHERE (repository, id) IN (
       SELECT repository, id FROM proposal WHERE repository = ? AND ${STALE} ORDER BY created_at, id LIMIT 1)`,
  )
  return (repository, bytes, bounds) => {
    const isRoom = () => {
      const { many, size } = used.get(repository) ?? { many: 0, size: 0 }
      return many < bounds.count && size + bytes <= bounds.bytes
    }
    while (!isRoom()) if (dropStale.run(repository).changes === 0) return false
    return true
  }
}

function signatureWriter(sql: Sql) {
  const insert = sql.prepare<[string, string, string, string, Uint8Array]>(
    `INSERT INTO proposed_signature (repository, proposal, role, keyid, sig) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
  )
  return (repository: string, id: string, signatures: readonly ProposedSignature[]): void => {
    for (const { role, keyid, sig } of signatures) insert.run(repository, id, role, keyid, sig)
  }
}

function versionOf({ role, version }: FileRow): ProposedVersion {
  return { role: roleName(role), version }
}

function contentOf({ bytes, base, ...row }: ContentRow): ProposedContent {
  return { ...versionOf(row), bytes, ...(base === null ? {} : { base }) }
}

function signatureOf({ role, keyid, sig }: SignatureRow): ProposedSignature {
  return { role: roleName(role), keyid: keyId(keyid), sig }
}
