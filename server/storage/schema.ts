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
  `
  ALTER TABLE repository ADD COLUMN dialect TEXT NOT NULL DEFAULT 'tuf-1.0' CHECK (dialect IN ('tuf-1.0', 'notary-v1'));
  -- 0: the snapshot is signed by its publishers, so that nobody here can sign it anew.
  ALTER TABLE repository ADD COLUMN holds_snapshot INTEGER NOT NULL DEFAULT 1 CHECK (holds_snapshot IN (0, 1));

  -- A repository that comes back counts its revisions on: what was computed for the old one never fits the new one.
  CREATE TABLE deleted (
    name TEXT PRIMARY KEY,
    revision INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- Both without what a deletion, or a role that left and comes back at version 1, would stumble over.
  CREATE TABLE publication_next (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repository,
    role TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    keyids TEXT NOT NULL CHECK (json_valid(keyids)),
    by TEXT
  ) STRICT;
  INSERT INTO publication_next SELECT id, repository, role, version, at, keyids, by FROM publication;
  CREATE TABLE meaning_next (
    repository INTEGER NOT NULL REFERENCES repository,
    tag TEXT NOT NULL,
    publication INTEGER NOT NULL,
    digest BLOB CHECK (length(digest) IN (32, 64)),
    length INTEGER CHECK (length >= 0),
    PRIMARY KEY (repository, tag, publication),
    CHECK ((digest IS NULL) = (length IS NULL))
  ) STRICT, WITHOUT ROWID;
  INSERT INTO meaning_next SELECT repository, tag, publication, digest, length FROM meaning;
  DROP TABLE meaning;
  DROP TABLE publication;
  ALTER TABLE publication_next RENAME TO publication;
  ALTER TABLE meaning_next RENAME TO meaning;
  CREATE INDEX publication_repository ON publication (repository, role, version);

  -- By name, and never by an id that is used twice: a row outlives its repository, and readers go on from the last one.
  CREATE TABLE feed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    repository TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    category TEXT NOT NULL CHECK (category IN ('update', 'deletion'))
  ) STRICT;
  CREATE INDEX feed_repository ON feed (repository, id);
  INSERT INTO feed (at, repository, version, sha256, category)
    SELECT stored_at, name, version, sha256, 'update' FROM file JOIN repository ON repository.id = file.repository
    WHERE role = 'timestamp' AND superseded_at IS NULL ORDER BY stored_at, name;
  `,
  `
  -- What its keys signed last: they go on above it, for who saw that accepts nothing below.
  ALTER TABLE deleted ADD COLUMN timestamp INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE deleted ADD COLUMN snapshot INTEGER NOT NULL DEFAULT 0;

  CREATE INDEX feed_at ON feed (at) WHERE category = 'update';
  `,
  `
  -- A private half may be elsewhere: then this says under which name, and nothing of it is here.
  CREATE TABLE online_key_next (
    repository TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('timestamp', 'snapshot')),
    keyid TEXT NOT NULL,
    keytype TEXT NOT NULL,
    scheme TEXT NOT NULL,
    public TEXT NOT NULL,
    sealed BLOB,
    signer TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (repository, role, keyid),
    CHECK ((sealed IS NULL) <> (signer IS NULL))
  ) STRICT, WITHOUT ROWID;
  INSERT INTO online_key_next SELECT repository, role, keyid, keytype, scheme, public, sealed, NULL, created_at FROM online_key;
  DROP TABLE online_key;
  ALTER TABLE online_key_next RENAME TO online_key;
  CREATE INDEX online_key_id ON online_key (keyid);
  `,
  `
  -- By name, as what a publish would make: nothing of a proposal is in force.
  CREATE TABLE proposal (
    repository TEXT NOT NULL,
    id TEXT NOT NULL CHECK (length(id) = 32),
    likeness TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    by TEXT,
    bytes INTEGER NOT NULL CHECK (bytes > 0),
    PRIMARY KEY (repository, id),
    UNIQUE (repository, likeness)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX proposal_expires ON proposal (expires_at);

  -- The next file, without signatures, and the one that it was made on top of.
  CREATE TABLE proposed_file (
    repository TEXT NOT NULL,
    proposal TEXT NOT NULL,
    role TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    bytes BLOB NOT NULL,
    base BLOB,
    UNIQUE (repository, proposal, role),
    FOREIGN KEY (repository, proposal) REFERENCES proposal ON DELETE CASCADE
  ) STRICT;
  CREATE TABLE proposed_signature (
    repository TEXT NOT NULL,
    proposal TEXT NOT NULL,
    role TEXT NOT NULL,
    keyid TEXT NOT NULL,
    sig BLOB NOT NULL,
    PRIMARY KEY (repository, proposal, role, keyid),
    FOREIGN KEY (repository, proposal) REFERENCES proposal ON DELETE CASCADE
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- What a delegator said of a role below it; NULL: that there is none. With what it said before, which is how it was at
  -- any moment since the change before this one.
  CREATE TABLE delegating (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repository,
    delegator TEXT NOT NULL,
    role TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    keyids TEXT NOT NULL CHECK (json_valid(keyids)),
    by TEXT,
    before TEXT CHECK (json_valid(before)),
    entry TEXT CHECK (json_valid(entry))
  ) STRICT;
  CREATE INDEX delegating_repository ON delegating (repository, at);

  -- Which timestamp somebody was served last; by the id of the repository, with which it goes.
  CREATE TABLE sighting (
    repository INTEGER NOT NULL REFERENCES repository,
    who TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (repository, who)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX sighting_at ON sighting (at);
  `,
  `
  -- After a backup was put back: what a repository has to come to before it is served again. Below it nothing is stored.
  CREATE TABLE awaited (
    repository TEXT NOT NULL,
    role TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    sha256 TEXT CHECK (length(sha256) = 64),
    holds INTEGER NOT NULL CHECK (holds IN (0, 1)),
    PRIMARY KEY (repository, role, version)
  ) STRICT, WITHOUT ROWID;
  -- Repositories whose publishers may leave versions out, for those were lost.
  CREATE TABLE restored (
    repository TEXT PRIMARY KEY,
    at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- What people renew, by when it ends and by when a fifth of its life is left.
  CREATE INDEX file_expiry ON file (iif(role IN ('root', 'targets'), role, 'delegated'), expires)
    WHERE superseded_at IS NULL AND role NOT IN ('snapshot', 'timestamp');
  CREATE INDEX file_warning ON file (iif(role IN ('root', 'targets'), role, 'delegated'), expires - (expires - stored_at) / 5)
    WHERE superseded_at IS NULL AND role NOT IN ('snapshot', 'timestamp');
  `,
  `
  -- In which order a delegator named the roles below it before one left, or others were asked first.
  CREATE TABLE ordering (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repository,
    delegator TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    keyids TEXT NOT NULL CHECK (json_valid(keyids)),
    by TEXT,
    before TEXT NOT NULL CHECK (json_valid(before))
  ) STRICT;
  CREATE INDEX ordering_repository ON ordering (repository, at);

  -- A hash over what is signed beside digest and length, empty for nothing; NULL: that was not kept yet.
  ALTER TABLE meaning ADD COLUMN besides BLOB CHECK (length(besides) IN (0, 32));
  `,
]

/**
 * The marks: which version of every role was published last, in a file of its own, so that a database that was put back
 * from a backup is known for what it is (ADR 0029). Roots are all kept, for each of them has to come back.
 */
export const MARKS_SCHEMA = `
  CREATE TABLE marks.mark (
    repository TEXT NOT NULL,
    role TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (repository, role, version)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE marks.about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
`
