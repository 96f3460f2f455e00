/** What a signer remembers: its keys, what each signed, and how high. Every method is one durable step. */
import { keyId } from '../../tuf/index.ts'
import { readObject } from '../storage/json.ts'
import type { Sql } from '../storage/sql.ts'
import { openTables } from '../storage/sqlite.ts'
import type { OnlineKeyRecord, OnlineRole, SettingStore } from '../storage/store.ts'
import type { Listing, Listings, Mark } from './rules.ts'
import { SIGNER_MIGRATIONS } from './schema.ts'

export type SignerStore = {
  readonly settings: Pick<SettingStore, 'get' | 'settle'>
  /** Oldest first. */
  readonly keys: (repository: string, role: OnlineRole) => readonly SignerKey[]
  readonly count: () => number
  readonly isElsewhere: (keyid: string, repository: string) => boolean
  readonly add: (key: OnlineKeyRecord) => void
  readonly mark: (repository: string, role: OnlineRole) => Mark | undefined
  readonly listings: (key: SignerKey) => Listings
  /** Before the signature leaves: on the disk when it returns. */
  readonly signed: (key: SignerKey, mark: Mark, listing: Listing) => void
  /** What the key signed last under that version was published, and nothing goes back behind it. */
  readonly published: (key: SignerKey, version: number) => void
  /** Lifts a mark; false where it is as high. For a signer that was restored and knows too little. */
  readonly advance: (repository: string, role: OnlineRole, mark: Mark) => boolean
  /** Throws StorageError when it does not answer. */
  readonly check: () => void
  readonly close: () => void
}

/** `hasSigned`: somebody may rely on it by now. */
export type SignerKey = OnlineKeyRecord & { readonly hasSigned: boolean }

export function openSignerStore(dir: string): SignerStore {
  const { sql, check, close } = openTables({ dir, name: 'signer.db', migrations: SIGNER_MIGRATIONS })
  return { settings: settingsIn(sql), ...keysIn(sql), ...marksIn(sql), check, close }
}

function settingsIn(sql: Sql): SignerStore['settings'] {
  const select = sql.prepare<[string], { value: Uint8Array }>('SELECT value FROM setting WHERE name = ?')
  const insert = sql.prepare<[string, Uint8Array]>('INSERT OR IGNORE INTO setting (name, value) VALUES (?, ?)')
  return {
    get: async (name) => sql.run(() => select.get(name)?.value),
    settle: async (name, value) =>
      sql.write(() => {
        insert.run(name, value)
        return select.get(name)?.value ?? value
      }),
  }
}

type KeyRow = {
  keyid: string
  repository: string
  role: OnlineRole
  keytype: string
  scheme: string
  public: string
  sealed: Uint8Array | null
  signer: string | null
  created_at: number
  last_version: number
}

function keysIn(sql: Sql): Pick<SignerStore, 'keys' | 'count' | 'isElsewhere' | 'add'> {
  const select = sql.prepare<[string, string], KeyRow>(
    `SELECT keyid, repository, role, keytype, scheme, public, sealed, signer, created_at, last_version FROM key
     WHERE repository = ? AND role = ? ORDER BY created_at, keyid`,
  )
  const count = sql.prepare<[], { count: number }>('SELECT count(*) AS count FROM key')
  const other = sql.prepare<[string, string]>('SELECT 1 FROM key WHERE keyid = ? AND repository <> ? LIMIT 1')
  const insert = sql.prepare<
    [string, string, string, string, string, string, Uint8Array | null, string | null, number]
  >(
    `INSERT INTO key (repository, role, keyid, keytype, scheme, public, sealed, signer, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  )
  return {
    keys: (repository, role) => sql.run(() => select.all(repository, role).map(keyOf)),
    count: () => sql.run(() => count.get()?.count ?? 0),
    isElsewhere: (keyid, repository) => sql.run(() => other.get(keyid, repository) !== undefined),
    add(key) {
      const { repository, role, keyid, keytype, scheme, sealed = null, signer = null, createdAt } = key
      sql.write(() => insert.run(repository, role, keyid, keytype, scheme, key.public, sealed, signer, createdAt))
    },
  }
}

function keyOf({ keyid, created_at, last_version, sealed, signer, ...row }: KeyRow): SignerKey {
  const held = signer === null ? { sealed: sealed ?? new Uint8Array() } : { signer }
  return { ...row, ...held, keyid: keyId(keyid), createdAt: created_at, hasSigned: last_version > 0 }
}

type MarkRow = { version: number; sha256: string; credit: number; credit_at: number }
type ListingRow = { last_version: number; last: string; floor: string }

function marksIn(sql: Sql): Pick<SignerStore, 'mark' | 'listings' | 'signed' | 'published' | 'advance'> {
  const select = sql.prepare<[string, string], MarkRow>(
    'SELECT version, sha256, credit, credit_at FROM mark WHERE repository = ? AND role = ?',
  )
  const upsert = sql.prepare<[string, string, number, string, number, number]>(
    `INSERT INTO mark (repository, role, version, sha256, credit, credit_at) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (repository, role) DO UPDATE SET
     version = excluded.version, sha256 = excluded.sha256, credit = excluded.credit, credit_at = excluded.credit_at`,
  )
  const listings = sql.prepare<[string, string, string], ListingRow>(
    'SELECT last_version, last, floor FROM key WHERE repository = ? AND role = ? AND keyid = ?',
  )
  const later = sql.prepare<[string, string, number], { floor: string }>(
    'SELECT floor FROM key WHERE repository = ? AND role = ? AND created_at > ?',
  )
  const last = sql.prepare<[number, string, string, string, string]>(
    'UPDATE key SET last_version = ?, last = ? WHERE repository = ? AND role = ? AND keyid = ?',
  )
  const publish = sql.prepare<[string, string, string, number]>(
    'UPDATE key SET floor = last WHERE repository = ? AND role = ? AND keyid = ? AND last_version = ? AND floor <> last',
  )
  const write = (repository: string, role: string, { version, sha256, credit, creditAt }: Mark) =>
    upsert.run(repository, role, version, sha256, credit, creditAt)
  const read = (repository: string, role: string): Mark | undefined => {
    const row = select.get(repository, role)
    return row && { version: row.version, sha256: row.sha256, credit: row.credit, creditAt: row.credit_at }
  }
  return {
    mark: (repository, role) => sql.run(() => read(repository, role)),
    listings({ repository, role, keyid, createdAt }) {
      const row = sql.run(() => listings.get(repository, role, keyid))
      const { last_version: lastVersion = 0, last: signed = '{}', floor = '{}' } = row ?? {}
      const after = sql.run(() => later.all(repository, role, createdAt))
      const floors = [floor, ...after.map((each) => each.floor)].map(readListing)
      const snapshot = role === 'timestamp' ? sql.run(() => read(repository, 'snapshot')) : undefined
      const ours = new Map(snapshot === undefined ? [] : [['snapshot', snapshot.version]])
      return { lastVersion, last: readListing(signed), floor: highest(floors), ours }
    },
    signed({ repository, role, keyid }, mark, listing) {
      sql.write(() => {
        write(repository, role, mark)
        last.run(mark.version, writeListing(listing), repository, role, keyid)
      })
    },
    published({ repository, role, keyid }, version) {
      sql.write(() => publish.run(repository, role, keyid, version))
    },
    advance: (repository, role, mark) =>
      sql.write(() => {
        if ((read(repository, role)?.version ?? 0) >= mark.version) return false
        write(repository, role, mark)
        return true
      }),
  }
}

function highest(listings: readonly Listing[]): Listing {
  const found = new Map<string, number>()
  for (const [name, version] of listings.flatMap((listing) => [...listing])) {
    found.set(name, Math.max(found.get(name) ?? 0, version))
  }
  return found
}

/** Pairs, for a role may have any name, `__proto__` included. */
function writeListing(listing: Listing): string {
  return JSON.stringify({ listed: [...listing] })
}

function readListing(json: string): Listing {
  const { listed = [] } = readObject(json)
  if (!Array.isArray(listed)) throw new RangeError('a stored listing is damaged')
  return new Map(listed.map(pairOf))
}

function pairOf(pair: unknown): readonly [string, number] {
  const parts: readonly unknown[] = Array.isArray(pair) ? pair : []
  const [name, version] = parts
  if (typeof name === 'string' && typeof version === 'number') return [name, version]
  throw new RangeError('a stored listing is damaged')
}
