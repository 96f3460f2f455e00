/**
 * A TUF repository in memory that signs on demand. No mock: its files are real metadata with real signatures, and it is
 * read through the same interface as a server. Tests change `root`, `targets`… and publish, or put bytes of their own
 * in the place of a file.
 */
import { generateKey } from '../../keys/native/generate.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import type { Algorithm, Signer } from '../../keys/signer.ts'
import { toTufFields } from '../../keys/tuf-key.ts'
import {
  DEFAULT_LIMITS,
  fileName,
  firstRoot,
  firstTargets,
  instant,
  nextRoot,
  nextSnapshot,
  nextTargets,
  nextTimestamp,
  roleName,
  SNAPSHOT,
  TARGETS,
  tufCodec,
  withDelegation,
} from '../../tuf/index.ts'
import type {
  Judge,
  Limits,
  Metadata,
  PublicKey,
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
  Version,
} from '../../tuf/index.ts'

export type TestKey = Signer & { readonly listed: PublicKey }

export const NOW = instant(Date.parse('2026-06-01T00:00:00Z'))
export const DAY = 86_400_000

export async function testKey(algorithm: Algorithm = 'ed25519'): Promise<TestKey> {
  const secret = await generateKey(algorithm)
  return {
    public: secret.public,
    sign: (payload) => secret.sign(payload),
    close: () => secret.close(),
    listed: tufCodec.key(toTufFields(secret.public), nativeSuite),
  }
}

export function judge(now: number = NOW, limits: Partial<Limits> = {}): Judge {
  return { codec: tufCodec, suite: nativeSuite, limits: { ...DEFAULT_LIMITS, ...limits }, now: instant(now) }
}

/** The file of `body`, signed by these keys. */
export async function signFile(body: Metadata, keys: readonly TestKey[]): Promise<Uint8Array> {
  return tufCodec.assemble(body, await signaturesOf(tufCodec.encode(body), keys))
}

export async function signaturesOf(payload: Uint8Array, keys: readonly TestKey[]): Promise<Signature[]> {
  return await Promise.all(
    keys.map(async (key) => ({ keyid: key.listed.id, sig: await key.sign(payload), unknown: new Map() })),
  )
}

/** An image's manifest as a target: `seed` stands for its bytes. */
export function image(seed: string, length = 1000): TargetFile {
  return { length, hashes: new Map([['sha256', nativeSuite.hash('sha256', Buffer.from(seed))]]), unknown: new Map() }
}

export type SimulatorOptions = {
  readonly tags?: Readonly<Record<string, TargetFile>>
  readonly consistent?: boolean
  readonly rootUnknown?: Unknown
  readonly now?: number
}

export class Simulator {
  /** Each role's signers: one key to begin with. Publishing signs with what stands here. */
  readonly signers: Record<TopRole, TestKey[]>
  readonly delegated = new Map<RoleName, { body: Targets; signers: TestKey[] }>()
  /** What is served, by file name. */
  readonly files = new Map<string, Uint8Array>()
  /** Every name that was asked for, in order, those that were not there included. */
  readonly asked: string[] = []
  root: Root
  targets: Targets
  snapshot: Snapshot | undefined
  timestamp: Timestamp | undefined
  now: number

  private constructor(signers: Record<TopRole, TestKey[]>, options: SimulatorOptions) {
    this.signers = signers
    this.now = options.now ?? NOW
    this.root = {
      ...firstRoot(this.#keySets(), this.context(730), options.rootUnknown ?? new Map()),
      consistentSnapshot: options.consistent ?? true,
    }
    this.targets = firstTargets({ set: new Map(Object.entries(options.tags ?? {})) }, this.context(365))
  }

  static async open(options: SimulatorOptions = {}): Promise<Simulator> {
    const [root, timestamp, snapshot, targets] = await Promise.all([testKey(), testKey(), testKey(), testKey()])
    const simulator = new Simulator(
      { root: [root], timestamp: [timestamp], snapshot: [snapshot], targets: [targets] },
      options,
    )
    await simulator.writeRoot()
    await simulator.writeTargets()
    await simulator.writeOnline()
    return simulator
  }

  /** Until when the next file lives. */
  context(days: number) {
    return { codec: tufCodec, expires: this.now + days * DAY }
  }

  /** The `MetadataSource` of this repository. */
  readonly get = async (name: string, maxBytes: number): Promise<Uint8Array | undefined> => {
    this.asked.push(name)
    return this.files.get(name)?.subarray(0, maxBytes + 1)
  }

  async writeRoot(signers: readonly TestKey[] = this.signers.root): Promise<void> {
    const bytes = await signFile(this.root, signers)
    this.files.set(`${this.root.version}.root.json`, bytes).set('root.json', bytes)
  }

  async writeTargets(): Promise<void> {
    this.#put(TARGETS, this.targets.version, await signFile(this.targets, this.signers.targets))
  }

  async writeDelegated(role: RoleName): Promise<void> {
    const delegated = this.delegated.get(role)
    if (delegated === undefined) throw new Error(`no role ${role}`)
    this.#put(role, delegated.body.version, await signFile(delegated.body, delegated.signers))
  }

  /** Snapshot and timestamp, one version up, saying what is there now. */
  async writeOnline(): Promise<void> {
    const listed = new Map<RoleName, Version>([[TARGETS, this.targets.version]])
    for (const [role, { body }] of this.delegated) listed.set(role, body.version)
    await this.writeSnapshot(nextSnapshot(this.snapshot, listed, this.context(7)))
  }

  async writeSnapshot(snapshot: Snapshot): Promise<void> {
    this.snapshot = snapshot
    const bytes = await signFile(snapshot, this.signers.snapshot)
    this.#put(SNAPSHOT, snapshot.version, bytes)
    const hashes = new Map([['sha256', nativeSuite.hash('sha256', bytes)]])
    const meta = { version: snapshot.version, length: bytes.length, hashes }
    await this.writeTimestamp(nextTimestamp(this.timestamp, meta, this.context(1)))
  }

  async writeTimestamp(timestamp: Timestamp): Promise<void> {
    this.timestamp = timestamp
    this.files.set('timestamp.json', await signFile(timestamp, this.signers.timestamp))
  }

  /** Changes targets and publishes everything that follows. */
  async publish(change: TargetsChange): Promise<void> {
    this.targets = nextTargets(this.targets, change, this.context(365))
    await this.writeTargets()
    await this.writeOnline()
  }

  /** Delegates from `parent` (targets unless told) to a new role with a key of its own, and publishes. */
  async delegate(
    name: string,
    scope: Scope,
    options: {
      tags?: Readonly<Record<string, TargetFile>>
      terminating?: boolean
      parent?: RoleName
      key?: TestKey
    } = {},
  ): Promise<TestKey> {
    const role = roleName(name)
    const key = options.key ?? (await testKey())
    const added = { name: role, scope, terminating: options.terminating ?? false, keys: [key.listed], threshold: 1 }
    const parent = this.delegated.get(options.parent ?? TARGETS)
    const delegations = withDelegation((parent?.body ?? this.targets).delegations, added)
    const body = firstTargets({ set: new Map(Object.entries(options.tags ?? {})) }, this.context(365))
    if (!this.delegated.has(role)) this.delegated.set(role, { body, signers: [key] })
    await this.writeDelegated(role)
    if (parent === undefined) {
      await this.publish({ delegations })
    } else {
      parent.body = nextTargets(parent.body, { delegations }, this.context(365))
      await this.writeDelegated(options.parent ?? TARGETS)
      await this.writeOnline()
    }
    return key
  }

  /** The next root, signed by the old signers and the new. `signers` are changed before. */
  async rotateRoot(oldSigners: readonly TestKey[] = this.signers.root): Promise<void> {
    this.root = nextRoot(this.root, this.#keySets(), this.context(730))
    await this.writeRoot([...new Set([...oldSigners, ...this.signers.root])])
  }

  #keySets() {
    const set = (role: TopRole) => ({ keys: this.signers[role].map(({ listed }) => listed), threshold: 1 })
    return { root: set('root'), timestamp: set('timestamp'), snapshot: set('snapshot'), targets: set('targets') }
  }

  #put(role: RoleName, version: number, bytes: Uint8Array): void {
    this.files.set(this.root.consistentSnapshot ? `${version}.${fileName(role)}` : fileName(role), bytes)
  }
}
