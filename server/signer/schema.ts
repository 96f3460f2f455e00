/** The signer's own tables, as the steps that lead to them; see `storage/schema.ts`. */
export const SIGNER_MIGRATIONS: readonly string[] = [
  `
  -- By role and not by key: a root may name two keys for a role, and a version must never mean two files.
  CREATE TABLE mark (
    repository TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('timestamp', 'snapshot')),
    version INTEGER NOT NULL CHECK (version >= 1),
    sha256 TEXT NOT NULL,
    credit REAL NOT NULL,
    credit_at INTEGER NOT NULL,
    PRIMARY KEY (repository, role)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE key (
    keyid TEXT NOT NULL,
    repository TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('timestamp', 'snapshot')),
    keytype TEXT NOT NULL,
    scheme TEXT NOT NULL,
    public TEXT NOT NULL,
    sealed BLOB,
    signer TEXT,
    created_at INTEGER NOT NULL,
    -- What it signed last, 0 for nothing, and what of that was published.
    last_version INTEGER NOT NULL DEFAULT 0,
    last TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(last)),
    floor TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(floor)),
    PRIMARY KEY (repository, role, keyid),
    CHECK ((sealed IS NULL) <> (signer IS NULL))
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX key_id ON key (keyid);

  CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  `,
]
