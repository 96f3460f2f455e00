/**
 * The tables, as the steps that lead to them: step N brings a database from `user_version` N to N + 1.
 * A step that was released is never edited; a change is a new step.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE repository (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 255),
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 1),
    timestamp_at INTEGER NOT NULL,
    timestamp_expires INTEGER NOT NULL,
    snapshot_expires INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX repository_timestamp ON repository (timestamp_expires);
  CREATE INDEX repository_snapshot ON repository (snapshot_expires);

  -- Apart from their records, so that marking a file as superseded does not write its megabyte again.
  CREATE TABLE content (
    id INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL CHECK (length(bytes) > 0)
  ) STRICT;

  CREATE TABLE file (
    repository INTEGER NOT NULL REFERENCES repository,
    role TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    sha512 TEXT NOT NULL CHECK (length(sha512) = 128),
    length INTEGER NOT NULL CHECK (length > 0),
    expires INTEGER NOT NULL,
    delegates INTEGER NOT NULL CHECK (delegates IN (0, 1)),
    stored_at INTEGER NOT NULL,
    superseded_at INTEGER,
    content INTEGER NOT NULL UNIQUE REFERENCES content,
    PRIMARY KEY (repository, role, version)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX file_current ON file (repository, role) WHERE superseded_at IS NULL;
  CREATE INDEX file_superseded ON file (superseded_at) WHERE superseded_at IS NOT NULL AND role <> 'root';

  -- What a publish changed: one row for the role, one for each tag whose meaning changed.
  CREATE TABLE publication (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repository,
    role TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    keyids TEXT NOT NULL CHECK (json_valid(keyids)),
    by TEXT,
    UNIQUE (repository, role, version)
  ) STRICT;
  CREATE TABLE meaning (
    repository INTEGER NOT NULL REFERENCES repository,
    tag TEXT NOT NULL,
    publication INTEGER NOT NULL REFERENCES publication,
    digest BLOB CHECK (length(digest) IN (32, 64)),
    length INTEGER CHECK (length >= 0),
    PRIMARY KEY (repository, tag, publication),
    CHECK ((digest IS NULL) = (length IS NULL))
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE token (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE CHECK (length(hash) = 64),
    repository TEXT NOT NULL,
    actions TEXT NOT NULL CHECK (json_valid(actions)),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked_at IS NULL;

  -- By name: a key is handed out before its repository exists.
  CREATE TABLE online_key (
    repository TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('timestamp', 'snapshot')),
    keyid TEXT NOT NULL,
    keytype TEXT NOT NULL,
    scheme TEXT NOT NULL,
    public TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (repository, role, keyid)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    request TEXT,
    detail TEXT CHECK (json_valid(detail))
  ) STRICT;

  CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
  `,
]
