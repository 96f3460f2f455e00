import { nativeSuite } from '../../keys/native/suite.ts'
import {
  DEFAULT_LIMITS,
  ROOT,
  SNAPSHOT,
  TARGETS,
  TIMESTAMP,
  fileName,
  firstRoot,
  firstTargets,
  instant,
  nextRoot,
  nextSnapshot,
  nextTargets,
  nextTimestamp,
  roleName,
  tufCodec,
  version,
  withDelegation,
} from '../../tuf/index.ts'
import type {
  Codec,
  FileMeta,
  Instant,
  Judge,
  KeySet,
  Metadata,
  NewDelegation,
  RoleName,
  Root,
  Scope,
  Signature,
  Snapshot,
  TargetFile,
  Targets,
  TargetsChange,
  Timestamp,
  TopRole,
  Unknown,
} from '../../tuf/index.ts'
import { signingKey } from './signing-key.ts'
import type { SigningKey } from './signing-key.ts'

export const DAY = 86_400_000

/** The instant at which simulated repositories are judged: 2026-06-01T12:00:00Z. */
export const NOW: Instant = instant(Date.UTC(2026, 5, 1, 12))

/** Changes a body just before it is signed: how a test writes what no honest repository would. */
export type Twist<M extends Metadata> = (body: M) => M

export type SimulatorOptions = {
  readonly codec?: Codec
  readonly consistent?: boolean
  /** Whom a root of Notary v1 must be for. */
  readonly repository?: string
  /** Further signed members of the root. */
  readonly unknown?: Unknown
  readonly keys?: Partial<Record<TopRole, readonly SigningKey[]>>
  readonly thresholds?: Partial<Record<TopRole, number>>
}

export type DelegateOptions = {
  readonly signers?: readonly SigningKey[]
  readonly paths?: readonly string[]
  readonly threshold?: number
  readonly terminating?: boolean
  readonly before?: RoleName
}

/**
 * A TUF repository in memory: signs on demand, and serves files by name. No mock: its signatures are real.
 *
 * It starts with root 1, targets 1, snapshot 1 and timestamp 1, all good. Each `publish…` makes the next version of one
 * role and nothing else, so that a test decides what stays behind. `files` is open to any attack.
 */
export class Simulator {
  /** What is served, by name: `1.root.json`, `3.targets.json`, `timestamp.json`, role names percent-encoded. */
  readonly files = new Map<string, Uint8Array>()
  /** Every name that was asked for, in order, missing ones included. */
  readonly requests: string[] = []
  /** Who signs each role. Change it together with the delegator. */
  readonly signers = new Map<RoleName, readonly SigningKey[]>()
  readonly targets = new Map<RoleName, Targets>()
  root: Root
  snapshot: Snapshot
  timestamp: Timestamp
  /** Expiry dates count from here. */
  now: number = NOW
  readonly #codec: Codec
  readonly #repository: string | undefined

  constructor(options: SimulatorOptions = {}) {
    const { codec = tufCodec, unknown, keys = {}, thresholds = {} } = options
    const { consistent = codec.consistentSnapshot } = options
    this.#codec = codec
    this.#repository = options.repository
    for (const role of TOP) this.signers.set(roleName(role), keys[role] ?? [signingKey('ed25519', codec)])
    const set = (role: TopRole) => keySet(this.#signersOf(roleName(role)), thresholds[role])
    const roles = { root: set('root'), timestamp: set('timestamp'), snapshot: set('snapshot'), targets: set('targets') }
    this.root = { ...firstRoot(roles, this.context(365), unknown), consistentSnapshot: consistent }
    this.targets.set(TARGETS, firstTargets({}, this.context(90)))
    this.#store(ROOT, this.root)
    this.#store(TARGETS, this.targetsOf(TARGETS))
    this.snapshot = this.#listing(nextSnapshot(undefined, new Map([[TARGETS, version(1)]]), this.context(7)))
    this.timestamp = this.#timestampOf(undefined, this.#store(SNAPSHOT, this.snapshot))
    this.#store(TIMESTAMP, this.timestamp)
  }

  /** The newest file of that name, or undefined; longer than `maxBytes` it comes cut after one byte too many. */
  readonly get = async (name: string, maxBytes: number): Promise<Uint8Array | undefined> => {
    this.requests.push(name)
    return this.files.get(name)?.slice(0, maxBytes + 1)
  }

  /** What a client that knows this repository is given to start from: the first root. */
  anchor(): Uint8Array {
    return this.file('1.root.json')
  }

  /** The bytes served under a name; it must exist. */
  file(name: string): Uint8Array {
    const bytes = this.files.get(name)
    if (bytes === undefined) throw new Error(`the simulator has no ${name}`)
    return bytes
  }

  /** The newest file of a role, whatever its name on the wire. */
  newest(role: RoleName): Uint8Array {
    return this.file(fileName(role))
  }

  targetsOf(role: RoleName): Targets {
    const body = this.targets.get(role)
    if (body === undefined) throw new Error(`the simulator has no role ${role}`)
    return body
  }

  /** The next root, signed by the old and the new keys. `change` names the roles whose keys become others. */
  publishRoot(
    change: Partial<Record<TopRole, readonly SigningKey[]>> = {},
    { thresholds = {}, twist = same }: { thresholds?: Partial<Record<TopRole, number>>; twist?: Twist<Root> } = {},
  ): Root {
    const old = this.#signersOf(ROOT)
    const sets = new Map<string, KeySet>()
    for (const role of TOP) {
      const keys = change[role]
      if (keys === undefined) continue
      this.signers.set(roleName(role), keys)
      sets.set(role, keySet(keys, thresholds[role]))
    }
    this.root = twist(nextRoot(this.root, Object.fromEntries(sets), this.context(365)))
    this.#store(ROOT, this.root, [...new Set([...this.#signersOf(ROOT), ...old])])
    return this.root
  }

  /** The next version of targets or of a delegated role; version 1 where there is none yet. */
  publishTargets(change: TargetsChange = {}, role: RoleName = TARGETS, twist: Twist<Targets> = same): Targets {
    const before = this.targets.get(role)
    const context = this.context(90)
    const next = twist(before === undefined ? firstTargets(change, context) : nextTargets(before, change, context))
    this.targets.set(role, next)
    this.#store(role, next)
    return next
  }

  publishSnapshot(twist: Twist<Snapshot> = same): Snapshot {
    const listed = new Map([...this.targets].map(([role, body]) => [role, body.version]))
    this.snapshot = twist(this.#listing(nextSnapshot(this.snapshot, listed, this.context(7))))
    this.#store(SNAPSHOT, this.snapshot)
    return this.snapshot
  }

  publishTimestamp(twist: Twist<Timestamp> = same): Timestamp {
    this.timestamp = twist(this.#timestampOf(this.timestamp, this.newest(SNAPSHOT)))
    this.#store(TIMESTAMP, this.timestamp)
    return this.timestamp
  }

  /** Snapshot and timestamp over whatever was published before: now clients see it. */
  release(): void {
    this.publishSnapshot()
    this.publishTimestamp()
  }

  /** A snapshot that no longer names a role, and a timestamp over it. */
  unlist(role: RoleName): void {
    this.publishSnapshot((body) => ({ ...body, meta: new Map([...body.meta].filter(([name]) => name !== role)) }))
    this.publishTimestamp()
  }

  /** Puts targets into a role and releases that. */
  sign(targets: Readonly<Record<string, TargetFile>>, role: RoleName = TARGETS): void {
    this.publishTargets({ set: new Map(Object.entries(targets)) }, role)
    this.release()
  }

  /** Delegates to a role that `signers` sign; the role's own file stays to be published, and all of it released. */
  delegate(delegator: RoleName, name: RoleName, options: DelegateOptions = {}): readonly SigningKey[] {
    const { signers = [signingKey('ed25519', this.#codec)], terminating = false, threshold } = options
    const scope = this.#scopeOf(options.paths ?? ['*'])
    if (!this.signers.has(name)) this.signers.set(name, signers)
    const added: NewDelegation = { ...keySet(signers, threshold), name, terminating, scope }
    const { delegations } = this.targetsOf(delegator)
    this.publishTargets({ delegations: withDelegation(delegations, added, options.before) }, delegator)
    return signers
  }

  /** A file as it would be served: this body, signed by these keys. */
  seal(body: Metadata, signers: readonly SigningKey[]): Uint8Array {
    return sealed(body, signers, this.#codec)
  }

  /** Dates as this repository writes them, so many days from now. */
  context(days: number): { readonly codec: Codec; readonly expires: number } {
    return { codec: this.#codec, expires: this.now + days * DAY }
  }

  /** Judges by the native suite and the usual limits, at {@link NOW} unless told otherwise. */
  judge(more: Partial<Judge> = {}): Judge {
    const limits = { ...DEFAULT_LIMITS, ...this.#codec.limits }
    return { codec: this.#codec, suite: nativeSuite, limits, now: NOW, repository: this.#repository, ...more }
  }

  #timestampOf(previous: Timestamp | undefined, snapshot: Uint8Array): Timestamp {
    const version = this.snapshot.version
    const listed = this.#codec.snapshotListsRoot ? metaOf(snapshot) : { version, ...metaOf(snapshot) }
    return nextTimestamp(previous, listed, this.context(1))
  }

  /** Where the dialect lists files by what they are, all of the newest ones, and no other. */
  #listing(body: Snapshot): Snapshot {
    if (!this.#codec.snapshotListsRoot) return body
    const roles = [ROOT, ...this.targets.keys()]
    return { ...body, meta: new Map(roles.map((role) => [role, metaOf(this.newest(role))])) }
  }

  /** Patterns that end in `*`, as prefixes where the dialect knows no others. */
  #scopeOf(paths: readonly string[]): Scope {
    if (this.#codec.dialect === 'tuf-1.0') return { kind: 'paths', paths }
    return { kind: 'path-prefixes', prefixes: paths.map((path) => path.replace(/\*$/, '')) }
  }

  #signersOf(role: RoleName): readonly SigningKey[] {
    return this.signers.get(role) ?? []
  }

  /** Roots are numbered in either dialect. */
  #nameOf(role: RoleName, body: Metadata, bytes: Uint8Array): string {
    const isByHash = this.#codec.snapshotListsRoot && role !== ROOT
    return isByHash ? this.#codec.fileName(role, metaOf(bytes), this.root) : `${body.version}.${fileName(role)}`
  }

  #store(role: RoleName, body: Metadata, signers = this.#signersOf(role)): Uint8Array {
    const bytes = this.seal(body, signers)
    this.files.set(fileName(role), bytes)
    if (role !== TIMESTAMP) this.files.set(this.#nameOf(role, body, bytes), bytes)
    return bytes
  }
}

function metaOf(bytes: Uint8Array): FileMeta {
  const hashes = new Map([['sha256', nativeSuite.hash('sha256', bytes)]])
  return { length: bytes.length, hashes, unknown: new Map() }
}

/** A body and its signatures, as a file. */
export function sealed(body: Metadata, signers: readonly SigningKey[], codec: Codec = tufCodec): Uint8Array {
  const payload = codec.encode(body)
  return codec.assemble(
    body,
    signers.map((key) => signatureOf(key, payload)),
  )
}

export function signatureOf(key: SigningKey, payload: Uint8Array): Signature {
  return { keyid: key.id, sig: key.sign(payload), scheme: key.public.scheme, unknown: new Map() }
}

/** A target that stands for these bytes. */
export function targetOf(content: string, custom?: TargetFile['custom']): TargetFile {
  const bytes = new TextEncoder().encode(content)
  const hashes = new Map([['sha256', nativeSuite.hash('sha256', bytes)]])
  return { length: bytes.length, hashes, unknown: new Map(), ...(custom === undefined ? {} : { custom }) }
}

export function keySet(signers: readonly SigningKey[], threshold = 1): KeySet {
  return { keys: signers.map((signer) => signer.public), threshold }
}

const TOP = ['root', 'timestamp', 'snapshot', 'targets'] as const satisfies readonly TopRole[]

function same<T>(value: T): T {
  return value
}
