/**
 * What the server keeps, as whole atomic steps: a method either did all of it, durably, or nothing.
 * `test/contracts/metadata-store.ts` says the same as tests, for every adapter.
 */
import type { Codec, Instant, KeyId, RoleName, Version } from '../../tuf/index.ts'

/** One published file, without its bytes. Hashes are lower-case hex of exactly the bytes that were uploaded. */
export type FileRecord = {
  readonly role: RoleName
  readonly version: Version
  readonly sha256: string
  readonly sha512: string
  readonly length: number
  readonly expires: Instant
  /** Whether it delegates to other roles, so that a publish need not open files that name nobody. */
  readonly delegates: boolean
  readonly storedAt: number
}
export type StoredFile = FileRecord & { readonly bytes: Uint8Array }
export type NewFile = Omit<StoredFile, 'storedAt'>

export type Dialect = Codec['dialect']

/** The newest file of every role. `revision` grows with every write: equal revisions are equal states. */
export type RepositoryState = {
  readonly name: string
  readonly createdAt: number
  readonly revision: number
  readonly dialect: Dialect
  readonly files: ReadonlyMap<RoleName, FileRecord>
  /** Of a repository that was put back from a backup. */
  readonly recovery?: Recovery
}

/** A file that was published after the backup: its role is to come to that version, with that file or a later one. */
export type AwaitedFile = { readonly role: RoleName; readonly version: number; readonly sha256?: string }
/** Publishers may leave versions out, and none of the roles comes in below what is awaited of it. */
export type Recovery = { readonly awaited: readonly AwaitedFile[] }

/** `besides`: of whatever else is signed with it (`besidesOf`); absent in records from before that was kept. */
export type Meaning = { readonly digest: string; readonly length: number; readonly besides?: string }

/** What a tag means from now on; without a digest: nothing, in this role. */
export type TagChange = { readonly tag: string; readonly meaning?: Meaning }

/** Who may sign as a delegated role, and what. */
export type DelegationEntry = {
  readonly keys: readonly { readonly keytype: string; readonly scheme: string; readonly public: string }[]
  readonly threshold: number
  readonly scope: { readonly kind: string; readonly patterns: readonly string[] }
  readonly terminating: boolean
}

/** What a delegator says of a role from now on, and what it said before; without an entry: that there is none. */
export type DelegationChange = {
  readonly role: string
  readonly before?: DelegationEntry
  readonly entry?: DelegationEntry
}

/** What one new version of a role changed, and whose signatures carried it. */
export type RoleChange = {
  readonly role: RoleName
  readonly version: Version
  readonly keyids: readonly KeyId[]
  readonly tags: readonly TagChange[]
  readonly delegations?: readonly DelegationChange[]
  /** The names of the roles below it as they stood before, where one left or others are asked first. */
  readonly order?: readonly string[]
}

export type Publication = {
  readonly repository: string
  /** The revision it was computed from; 0 for a repository that does not exist yet. */
  readonly base: number
  readonly at: number
  /** Superseded files older than this may go. */
  readonly pruneBefore: number
  readonly files: readonly NewFile[]
  /** What a new repository speaks, for good; TUF 1.0 where it is not said. */
  readonly dialect?: Dialect
  /** Whether its snapshot is ours to sign anew; as before where it is not said. */
  readonly holdsSnapshot?: boolean
  /** Roles whose files go, before those of this publication are stored: one of the same role begins at any version. */
  readonly leaving?: readonly RoleName[]
  readonly changes?: readonly RoleChange[]
  /** Online keys that no root names any more: their secrets are forgotten. */
  readonly retire?: readonly KeyId[]
  readonly audit?: NewAuditEntry
  /** The name of the token that published. */
  readonly by?: string
  /** The proposal that this is: it pends no more. */
  readonly completes?: string
}

export type HistoryEntry = {
  readonly id: number
  readonly tag: string
  readonly at: number
  readonly meaning?: Meaning
  readonly role: string
  readonly version: number
  readonly keyids: readonly string[]
  readonly by?: string
}

/** A delegation that was changed since some moment: how it was just before that, and by whom it was changed last. */
export type ChangedDelegation = {
  /** Of the last change: where the next page begins. */
  readonly id: number
  readonly delegator: string
  readonly role: string
  readonly version: number
  readonly at: number
  readonly keyids: readonly string[]
  readonly by?: string
  readonly before?: DelegationEntry
}

/** Roles that a delegator asks in another order than at some moment, or of which one left: as they stood just before. */
export type ChangedOrder = Omit<ChangedDelegation, 'id' | 'role' | 'before'> & { readonly before: readonly string[] }

/** `after`, `before`: the last one of the page before. */
export type Page<T> = { readonly limit: number; readonly from?: T }

/** Of the files that people renew: of every repository's root, of its targets, or of all its delegated roles. */
export type OwnedRole = 'root' | 'targets' | 'delegated'
/** `first`: when the first of them expires, or expired. `due`: how many have a fifth of their life left, or less. */
export type Expiries = { readonly first: number | undefined; readonly due: number }

export type MetadataStore = {
  /**
   * All of them in one durable step. For each: false, and nothing of it stored, where the repository moved on from
   * `base`. Refuses with an exception a version not above the stored one, for a version must never mean two files.
   */
  readonly publish: (publications: readonly Publication[]) => Promise<readonly boolean[]>
  /** Takes away all of it but its keys, for whoever still has its root may publish it again. False where there is none. */
  readonly remove: (removal: Removal) => Promise<boolean>
  readonly state: (repository: string) => Promise<RepositoryState | undefined>
  readonly dialect: (repository: string) => Promise<Dialect | undefined>
  /** What it has to come to before it may be served; nothing for one that may. */
  readonly holdingBack: (repository: string) => Promise<readonly AwaitedFile[]>
  /** What a repository of that name had signed by our keys when it was deleted; zeros where there was none. */
  readonly lastSigned: (repository: string) => Promise<LastSigned>
  readonly current: (repository: string, role: RoleName) => Promise<StoredFile | undefined>
  readonly byVersion: (repository: string, role: RoleName, version: number) => Promise<StoredFile | undefined>
  readonly byHash: (repository: string, role: RoleName, sha256: string) => Promise<StoredFile | undefined>
  /** Names in order. */
  readonly repositories: (page: Page<string>) => Promise<readonly RepositorySummary[]>
  readonly history: (repository: string, tag: string, page: Page<number>) => Promise<readonly HistoryEntry[]>
  /** Names of the tags that a publish at `since` or later changed, in order. */
  readonly changedTags: (repository: string, since: number, page: Page<string>) => Promise<readonly string[]>
  readonly changedDelegations: (
    repository: string,
    since: number,
    page: Page<number>,
  ) => Promise<readonly ChangedDelegation[]>
  /** Of the roles that were there at `since`, so that nobody makes it larger than it was; one alone has no order. */
  readonly changedOrders: (repository: string, since: number) => Promise<readonly ChangedOrder[]>
  /**
   * Repositories of one dialect whose timestamp, or whose snapshot if that is ours, expires up to `soon`, or after `far`, which happens when it was signed
   * under a clock that has since been set back. Soonest first.
   */
  readonly due: (dialect: Dialect, windows: DueWindows, limit: number) => Promise<readonly DueRepository[]>
  /** Drops superseded files from before that instant, at most `limit` of them; returns how many. Roots stay forever. */
  readonly prune: (before: number, limit: number) => Promise<number>
  /** Gives freed pages back to the disk, a bounded number at a time. True while there are more. */
  readonly reclaim: () => Promise<boolean>
  readonly summary: () => Promise<StorageSummary>
  readonly expiries: (now: number) => Promise<Readonly<Record<OwnedRole, Expiries>>>
}

export type Removal = { readonly repository: string; readonly at: number; readonly audit: NewAuditEntry }
export type LastSigned = { readonly timestamp: number; readonly snapshot: number }
export type RepositorySummary = { readonly name: string; readonly createdAt: number }
export type DueWindow = { readonly soon: number; readonly far: number }
export type DueWindows = { readonly timestamp: DueWindow; readonly snapshot: DueWindow }
export type DueRepository = {
  readonly name: string
  readonly timestampExpires: number
  readonly snapshotExpires: number
  readonly holdsSnapshot: boolean
}
export type StorageSummary = {
  readonly repositories: number
  readonly proposals: number
  readonly bytes: number
  /** When the oldest current timestamp was stored, if there is one. */
  readonly oldestTimestamp?: number
  /** The first timestamp to expire, or expired the longest. */
  readonly firstExpiry?: number
  /** Repositories that are not served before what was lost of them is published again. */
  readonly held: number
}

/** One new timestamp, or one deletion, which has version 0 and no hash. */
export type FeedEntry = {
  readonly id: number
  readonly at: number
  readonly repository: string
  readonly version: number
  readonly sha256: string
  readonly category: 'update' | 'deletion'
}
export type FeedStore = {
  /** Those after `from`, the oldest ones first. */
  readonly after: (page: Required<Page<number>>, repository?: string) => Promise<readonly FeedEntry[]>
  /** The last ones before `from`, or of all; the oldest one first as well. */
  readonly before: (page: Page<number>, repository?: string) => Promise<readonly FeedEntry[]>
  /** Drops updates from before that instant that a later entry of their repository follows; returns how many. */
  readonly prune: (before: number, limit: number) => Promise<number>
}

/** A signature on one file of a proposal, checked by whoever hands it in. */
export type ProposedSignature = { readonly role: RoleName; readonly keyid: KeyId; readonly sig: Uint8Array }

/** Next files of one publish that wait for signatures. */
export type ProposalRecord = {
  readonly id: string
  readonly createdAt: number
  readonly expiresAt: number
  /** The name of the token that began it. */
  readonly by?: string
  readonly files: readonly ProposedVersion[]
  readonly signatures: readonly ProposedSignature[]
  /** Somebody published another file in the place of one of these. */
  readonly stale: boolean
}
export type ProposedVersion = { readonly role: RoleName; readonly version: number }

/** `bytes` without signatures; `base` is the file it was made on top of, where there was one. */
export type ProposedContent = ProposedVersion & { readonly bytes: Uint8Array; readonly base?: Uint8Array }
export type StoredProposal = Omit<ProposalRecord, 'files'> & { readonly files: readonly ProposedContent[] }
export type NewProposal = Omit<StoredProposal, 'stale'> & {
  readonly repository: string
  /** The same for proposals of the same change. */
  readonly likeness: string
}
/** Of all proposals of one repository; `bytes` counts files and what they were made on top of. */
export type ProposalBounds = { readonly count: number; readonly bytes: number }

/** `like`: another one of the same change is pending. */
export type ProposalOutcome =
  | { readonly kind: 'kept' }
  | { readonly kind: 'like'; readonly id: string }
  | { readonly kind: 'full' }

export type ProposalStore = {
  /**
   * Keeps it; where it is there already, adds its signatures to that one. What has expired makes room first, and then
   * what is stale, the oldest of it first.
   */
  readonly add: (proposal: NewProposal, bounds: ProposalBounds, audit: NewAuditEntry) => Promise<ProposalOutcome>
  /** False where it is there no more. A key that signed a file before keeps its first signature. */
  readonly sign: (
    repository: string,
    id: string,
    signatures: readonly ProposedSignature[],
    audit: NewAuditEntry,
  ) => Promise<boolean>
  /** Those that have not expired, oldest first. */
  readonly list: (repository: string, now: number) => Promise<readonly ProposalRecord[]>
  readonly get: (repository: string, id: string, now: number) => Promise<StoredProposal | undefined>
  /** False where there was none. */
  readonly withdraw: (repository: string, id: string, audit: NewAuditEntry) => Promise<boolean>
  /** Drops what expired up to that instant; returns how many. */
  readonly prune: (now: number, limit: number) => Promise<number>
}

export type Action = 'pull' | 'push' | 'admin'

/** A token as it is kept: by its hash, never as it was handed out. */
export type TokenRecord = {
  readonly id: string
  readonly name: string
  readonly hash: string
  /** A pattern of repository names; see `auth/pattern.ts`. */
  readonly repository: string
  readonly actions: readonly Action[]
  readonly createdAt: number
  readonly expiresAt?: number
  readonly revokedAt?: number
  readonly lastUsedAt?: number
}

export type TokenStore = {
  /** False where a live token has that name already. */
  readonly add: (token: TokenRecord, audit: NewAuditEntry) => Promise<boolean>
  readonly byHash: (hash: string) => Promise<TokenRecord | undefined>
  readonly byId: (id: string) => Promise<TokenRecord | undefined>
  readonly list: () => Promise<readonly TokenRecord[]>
  /** By id, or by the name of a live token. Undefined where there is none; a token revoked before stays as it was. */
  readonly revoke: (idOrName: string, at: number, audit: NewAuditEntry) => Promise<TokenRecord | undefined>
  readonly used: (uses: ReadonlyMap<string, number>) => Promise<void>
}

/** Who was served which timestamp last, and when (milliseconds). */
export type Sighting = { readonly who: string; readonly version: number; readonly at: number }
export type SightingStore = {
  /** By repository; of each at most `most` stay, those that were seen last. */
  readonly saw: (seen: ReadonlyMap<string, readonly Sighting[]>, most: number) => Promise<void>
  /** Those that were seen last first. */
  readonly list: (repository: string, limit: number) => Promise<readonly Sighting[]>
  /** Drops those from before that instant, at most `limit` of them; returns how many. */
  readonly prune: (before: number, limit: number) => Promise<number>
}

export type OnlineRole = 'timestamp' | 'snapshot'

/**
 * Where the private half of a key is: here, sealed under the key-encryption key, or elsewhere, under the name by which
 * that place knows it (`pkcs11:token=T;object=O`, `exec:LABEL`, `signer:`). The name never says what is run or loaded.
 */
export type HeldAt =
  | { readonly sealed: Uint8Array; readonly signer?: undefined }
  | { readonly signer: string; readonly sealed?: undefined }

/** A key that the server signs with. */
export type OnlineKeyRecord = HeldAt & {
  readonly repository: string
  readonly role: OnlineRole
  readonly keyid: KeyId
  readonly keytype: string
  readonly scheme: string
  readonly public: string
  readonly createdAt: number
}

export type OnlineKeyStore = {
  /**
   * Keeps it, unless `fresh` finds another to use instead: the one that is kept is returned. With a new one those go
   * that it is to take the place of.
   */
  readonly add: (
    key: OnlineKeyRecord,
    fresh: (kept: readonly OnlineKeyRecord[]) => OnlineKeyRecord | undefined,
    replaces?: (kept: readonly OnlineKeyRecord[]) => readonly OnlineKeyRecord[],
  ) => Promise<OnlineKeyRecord>
  /** Oldest first. */
  readonly list: (repository: string, role: OnlineRole) => Promise<readonly OnlineKeyRecord[]>
  /** Whether another repository has that key as well. */
  readonly isElsewhere: (keyid: KeyId, repository: string) => Promise<boolean>
}

export type NewAuditEntry = {
  readonly at: number
  readonly actor?: string
  readonly action: string
  readonly subject: string
  readonly request?: string
  readonly detail?: Readonly<Record<string, unknown>>
}
export type AuditEntry = NewAuditEntry & { readonly id: number }
export type AuditStore = {
  readonly add: (entry: NewAuditEntry) => Promise<void>
  /** Newest first. */
  readonly list: (page: Page<number>) => Promise<readonly AuditEntry[]>
}

/** Small values that belong to the folder as a whole. */
export type SettingStore = {
  readonly get: (name: string) => Promise<Uint8Array | undefined>
  /** Keeps the first value: returns what is kept. */
  readonly settle: (name: string, value: Uint8Array) => Promise<Uint8Array>
  readonly replace: (name: string, value: Uint8Array, audit: NewAuditEntry) => Promise<void>
}

/** Of a database that was put back from a backup, until somebody says how to go on. */
export type Restored = { readonly at: number; readonly why: RestoredWhy }
/** The first two were told by `tagseal-server restore`, the others were found out. Put back as a whole, the marks are as old. */
export type RestoredWhy =
  | 'told'
  | 'put back as a whole'
  | 'older than its marks'
  | 'without its marks'
  | 'marks of another database'

/** A file that the marks know and the database has not. */
export type LostFile = { readonly repository: string; readonly role: string; readonly version: number }

export type Resumption = {
  readonly at: number
  /** Timestamps and snapshots go on above this one too; where no marks tell more, it is how far they leap. */
  readonly above?: number
  /** Serve repositories although files of theirs are known, or not known, to be lost. */
  readonly acceptLoss: boolean
  readonly audit: NewAuditEntry
}
/** `unknown`: no marks tell what was lost, and nobody accepted that; nothing was changed. */
export type Resumed = 'not restored' | 'unknown' | { readonly repositories: number; readonly lost: readonly LostFile[] }

/** Whether this database is all that was ever served from it, and the way on where it is not (ADR 0029). */
export type RecoveryStore = {
  /** What is known of it; settled for good by the first call that finds it out. */
  readonly check: (at: number) => Promise<Restored | undefined>
  readonly declare: (restored: Restored, audit: NewAuditEntry) => Promise<void>
  /** By the marks; none where there are no marks that belong to this database. */
  readonly lost: () => Promise<readonly LostFile[] | undefined>
  readonly resume: (resumption: Resumption) => Promise<Resumed>
  /** What is still awaited, of every repository. */
  readonly awaited: () => Promise<readonly (LostFile & { readonly holds: boolean })[]>
}

/** What a process that only reads sees of the store of another one. */
export type ReadingStore = {
  readonly metadata: Pick<MetadataStore, 'current' | 'byVersion' | 'byHash' | 'holdingBack' | 'dialect'>
  /** Another number whenever anything was committed since the last call. Waits for nobody. */
  readonly commits: () => number
  /** Another number whenever a file of that repository became, or ceased to be, the current one of its role. */
  readonly revision: (repository: string) => number | undefined
  readonly close: () => void
}

export type Store = {
  readonly metadata: MetadataStore
  /** undefined where the store was opened without its marks. */
  readonly recovery: RecoveryStore | undefined
  readonly feed: FeedStore
  readonly proposals: ProposalStore
  readonly tokens: TokenStore
  readonly sightings: SightingStore
  readonly keys: OnlineKeyStore
  readonly audit: AuditStore
  readonly settings: SettingStore
  /** Throws StorageError when it does not answer. */
  readonly check: () => Promise<void>
  /** For who is about to publish: takes the space beforehand that publishes need, so that none waits for it. */
  readonly makeReady: () => Promise<void>
  readonly close: () => Promise<void>
}
