import { randomName } from '../../keys/random.ts'
import type { Sql } from './sql.ts'
import { auditWriter } from './sqlite-audit.ts'
import type { LostFile, RecoveryStore, Restored, RestoredWhy, Resumption } from './store.ts'

const RESTORED = 'restored'
const MARKS = 'marks'
/** Marks may be behind by a minute: more than one repository publishes in it. */
const MARGIN = 1024
/**
 * Where nothing tells how much was signed since: as many publishes as a repository sees in its life. A signer apart tells,
 * and signs no such leap.
 */
const BLIND_MARGIN = 2 ** 20

type LostRow = LostFile & { sha256: string }

/** The database and its marks. The connection has them attached as `marks`. */
export function recoveryIn(sql: Sql): RecoveryStore {
  const setting = settingsOf(sql)
  const about = aboutMarks(sql)
  const lost = sql.prepare<[], LostRow>(
    // A timestamp is always ours to sign anew; a snapshot unless publishers hold its key.
    `SELECT mark.repository, mark.role, mark.version, mark.sha256 FROM marks.mark AS mark
     LEFT JOIN repository ON repository.name = mark.repository
     LEFT JOIN file ON file.repository = repository.id AND file.role = mark.role AND file.superseded_at IS NULL
     WHERE coalesce(file.version, 0) < mark.version
       AND mark.role NOT IN ('timestamp', iif(coalesce(repository.holds_snapshot, 1), 'snapshot', ''))
     ORDER BY mark.repository, mark.role, mark.version`,
  )
  const awaited = sql.prepare<[], LostFile & { holds: number }>(
    'SELECT repository, role, version, holds FROM awaited ORDER BY repository, role, version',
  )
  const forget = sql.prepare<[]>('DELETE FROM marks.mark')
  const fill = filler(sql)
  const resume = resumer(sql)
  const writeAudit = auditWriter(sql)

  /** Whether the marks tell what this database lacks. */
  function belongs(): boolean {
    if (restoredOf(setting.get(RESTORED))?.why === 'put back as a whole') return false
    const [mine, theirs] = [setting.get(MARKS), about.get('id')]
    return theirs !== undefined && (mine === undefined || mine === theirs)
  }

  /** The same id as before where they belong to each other: another backup of this database shall find them again. */
  function pair(known: boolean): undefined {
    const id = (known ? about.get('id') : undefined) ?? randomName()
    if (!known) forget.run()
    setting.set(MARKS, id)
    about.set('id', id)
    return fill()
  }

  /** Nothing to write down: the disk may be full, and reading shall go on. */
  function isSettled(): boolean {
    return (
      about.get('id') !== undefined &&
      about.get('id') === setting.get(MARKS) &&
      about.ownSequence() === about.sequence()
    )
  }

  function whyRestored(): RestoredWhy | undefined {
    const [mine, theirs] = [setting.get(MARKS), about.get('id')]
    if (mine !== theirs) return theirs === undefined ? 'without its marks' : 'marks of another database'
    return about.ownSequence() < about.sequence() ? 'older than its marks' : undefined
  }

  return {
    async check(at) {
      const known = sql.run(() => restoredOf(setting.get(RESTORED)))
      if (known !== undefined || sql.run(isSettled)) return known
      // Both are read in one transaction, or a publish in between would look like a backup that was put back.
      return sql.write(() => {
        if (setting.get(MARKS) === undefined && about.get('id') === undefined) return pair(true)
        const why = whyRestored()
        if (why === undefined) return fill()
        const restored = { at, why }
        setting.set(RESTORED, JSON.stringify(restored))
        return restored
      })
    },
    async declare(restored, audit) {
      sql.write(() => {
        setting.set(RESTORED, JSON.stringify(restored))
        writeAudit(audit)
      })
    },
    async lost() {
      return sql.run(() => (belongs() ? lost.all().map(plain) : undefined))
    },
    async awaited() {
      return sql.run(() => awaited.all().map(({ holds, ...file }) => ({ ...file, holds: holds === 1 })))
    },
    async resume(resumption) {
      return sql.write(() => {
        const { acceptLoss } = resumption
        if (setting.get(RESTORED) === undefined) return acceptLoss ? resume.release(resumption) : 'not restored'
        const known = belongs()
        if (!known && !acceptLoss) return 'unknown'
        const files = known ? lost.all() : []
        const repositories = resume.all(resumption, files, known)
        pair(known)
        setting.remove(RESTORED)
        writeAudit(resumption.audit)
        return { repositories, lost: files.map(plain) }
      })
    },
  }
}

function plain({ repository, role, version }: LostFile): LostFile {
  return { repository, role, version }
}

function restoredOf(text: string | undefined): Restored | undefined {
  const parse: (text: string) => Restored = JSON.parse
  return text === undefined ? undefined : parse(text)
}

function settingsOf(sql: Sql) {
  const select = sql.prepare<[string], { value: Uint8Array }>('SELECT value FROM setting WHERE name = ?')
  const upsert = sql.prepare<[string, Uint8Array]>('INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)')
  const remove = sql.prepare<[string]>('DELETE FROM setting WHERE name = ?')
  return {
    get(name: string) {
      const value = select.get(name)?.value
      return value && Buffer.from(value).toString('utf8')
    },
    set: (name: string, value: string) => void upsert.run(name, Buffer.from(value)),
    remove: (name: string) => void remove.run(name),
  }
}

function aboutMarks(sql: Sql) {
  const select = sql.prepare<[string], { value: string }>('SELECT value FROM marks.about WHERE name = ?')
  const upsert = sql.prepare<[string, string]>('INSERT OR REPLACE INTO marks.about (name, value) VALUES (?, ?)')
  const own = sql.prepare<[], { seq: number }>("SELECT seq FROM main.sqlite_sequence WHERE name = 'feed'")
  return {
    get: (name: string) => select.get(name)?.value,
    set: (name: string, value: string) => void upsert.run(name, value),
    sequence: () => Number(select.get('sequence')?.value ?? 0),
    ownSequence: () => own.get()?.seq ?? 0,
  }
}

/** What the database has and the marks have not; what they know beyond it stays. */
function filler(sql: Sql): () => undefined {
  const copy = sql.prepare<[]>(
    `INSERT OR REPLACE INTO marks.mark (repository, role, version, sha256)
     SELECT name, role, version, sha256 FROM file JOIN repository ON repository.id = file.repository
     WHERE superseded_at IS NULL OR role = 'root'`,
  )
  const outdate = sql.prepare<[]>(
    `DELETE FROM marks.mark AS old WHERE role <> 'root' AND EXISTS (
       SELECT 1 FROM marks.mark AS later
       WHERE later.repository = old.repository AND later.role = old.role AND later.version > old.version)`,
  )
  const count = sql.prepare<[]>(
    `INSERT OR REPLACE INTO marks.about (name, value)
     SELECT 'sequence', CAST(coalesce(max(seq), 0) AS TEXT) FROM main.sqlite_sequence WHERE name = 'feed'`,
  )
  return () => {
    copy.run()
    outdate.run()
    count.run()
    return undefined
  }
}

/** `apart`: 1 where a signer apart has all of its keys, and remembers what they signed. */
type RepositoryRow = {
  readonly name: string
  readonly holds: number
  readonly timestamp: number
  readonly snapshot: number
  readonly apart: number | null
}

/** Inside the caller's transaction. */
function resumer(sql: Sql) {
  const repositories = sql.prepare<[], RepositoryRow>(
    `SELECT name, holds_snapshot AS holds,
       (SELECT max(version) FROM file WHERE repository = repository.id AND role = 'timestamp') AS timestamp,
       (SELECT max(version) FROM file WHERE repository = repository.id AND role = 'snapshot') AS snapshot,
       (SELECT min(coalesce(signer, '') = 'signer:') FROM online_key WHERE repository = repository.name) AS apart
     FROM repository`,
  )
  const marked = sql.prepare<[string, string], { version: number | null }>(
    'SELECT max(version) AS version FROM marks.mark WHERE repository = ? AND role = ?',
  )
  const wait = sql.prepare<[string, string, number, string | null, number]>(
    'INSERT OR REPLACE INTO awaited (repository, role, version, sha256, holds) VALUES (?, ?, ?, ?, ?)',
  )
  const note = sql.prepare<[number]>('INSERT OR REPLACE INTO restored (repository, at) SELECT name, ? FROM repository')
  const due = sql.prepare<[]>(
    'UPDATE repository SET timestamp_expires = 0, snapshot_expires = iif(holds_snapshot, 0, snapshot_expires)',
  )
  const remember = sql.prepare<[number, number]>(
    // Of repositories that were founded since: whoever founds one anew goes on above what was signed for it.
    `INSERT INTO deleted (name, revision, timestamp, snapshot)
     SELECT repository, 1, max(iif(role = 'timestamp', version, 0)) + ?, max(iif(role = 'snapshot', version, 0)) + ?
     FROM marks.mark WHERE repository NOT IN (SELECT name FROM repository) GROUP BY repository
     ON CONFLICT (name) DO UPDATE SET timestamp = max(timestamp, excluded.timestamp),
       snapshot = max(snapshot, excluded.snapshot)`,
  )
  const advance = sql.prepare<[number]>("UPDATE main.sqlite_sequence SET seq = seq + ? WHERE name = 'feed'")
  const markedSequence = sql.prepare<[], { value: string }>("SELECT value FROM marks.about WHERE name = 'sequence'")
  const release = sql.prepare<[]>('UPDATE awaited SET holds = 0 WHERE holds = 1 AND sha256 IS NOT NULL')
  const writeAudit = auditWriter(sql)
  return {
    /** How many repositories there are. */
    all({ at, above, acceptLoss }: Resumption, lost: readonly LostRow[], known: boolean): number {
      note.run(at)
      const rows = repositories.all()
      for (const { name, holds, apart, ...last } of rows) {
        const leap = known ? MARGIN : above !== undefined ? 1 : apart === 1 ? MARGIN : BLIND_MARGIN
        for (const role of holds === 1 ? (['timestamp', 'snapshot'] as const) : (['timestamp'] as const)) {
          const signed = Math.max(last[role], known ? (marked.get(name, role)?.version ?? 0) : 0)
          wait.run(name, role, Math.max(signed + leap, (above ?? 0) + 1), null, 1)
        }
      }
      for (const { repository, role, version, sha256 } of lost) {
        wait.run(repository, role, version, sha256, acceptLoss ? 0 : 1)
      }
      due.run()
      const beyond = known ? Math.max(MARGIN, above ?? 0) : (above ?? BLIND_MARGIN)
      remember.run(beyond, beyond)
      // Whoever reads the changefeed goes on from the last number that was seen.
      advance.run(Number(markedSequence.get()?.value ?? 0) + (known ? MARGIN : BLIND_MARGIN))
      return rows.length
    },
    /** Later: what is still awaited holds nothing back any more. */
    release({ audit }: Resumption) {
      const { changes } = release.run()
      if (changes > 0) writeAudit(audit)
      return changes > 0 ? { repositories: 0, lost: [] } : ('not restored' as const)
    },
  }
}
