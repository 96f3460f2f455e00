import {
  DEFAULT_LIMITS,
  ROOT,
  SNAPSHOT,
  TARGETS,
  codecOf,
  instant,
  isTrustError,
  notaryCodec,
  proposalId,
  roleName,
  tufCodec,
} from '../../tuf/index.ts'
import type { Judge, Limits, RoleName } from '../../tuf/index.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { Problem, invalidUpdate, untrusted } from '../problem.ts'
import { ONLINE_ROLES, onlineVersions } from '../signing/online-keys.ts'
import type {
  Dialect,
  NewAuditEntry,
  OnlineRole,
  Publication,
  Removal,
  RepositoryState,
  Store,
} from '../storage/store.ts'
import type { Completion } from './complete.ts'
import { applyDelta, decodeDelta, refuseOtherBase } from './delta.ts'
import { RULES } from './dialects.ts'
import { arriving, refuseOtherThanNotary } from './move-in.ts'
import { memoCodec, memoSuite } from './memo.ts'
import { makeQueue } from './queue.ts'
import type { Upload, UploadPart } from './upload.ts'
import { validate } from './validate.ts'
import type { Candidate, NextState } from './validate.ts'
import { lastSignedOf, peekVersion } from './versions.ts'
import type { WorkCache } from './work-cache.ts'

export type PublishRequest = {
  readonly repository: string
  readonly upload: Upload
  /** The name of the token. */
  readonly by?: string
  readonly request: string
  /** sha256 of the snapshot on top of which this was made, where its publisher wants to be the next one. */
  readonly seenSnapshot?: string
}
export type Published = {
  readonly versions: ReadonlyMap<RoleName, number>
  /** Delegated roles whose new keys have not signed yet. */
  readonly leftBehind: readonly RoleName[]
  /** What the server signed for this publish; empty where all of it was stored before. */
  readonly signed: ReadonlyMap<OnlineRole, Uint8Array>
}

export type Publisher = {
  /** Throws Problem. What it acknowledges is on the disk. */
  readonly publish: (request: PublishRequest) => Promise<Published>
  /** The same for a repository that is not here yet and comes whole from another server. */
  readonly moveIn: (request: PublishRequest) => Promise<Published>
  /** Durable when it returns; false for a repository that does not exist. */
  readonly remove: (removal: Removal) => Promise<boolean>
  /** Resolves when nothing is being published. */
  readonly idle: () => Promise<void>
}

export type PublisherOptions = Completion & {
  readonly store: Store
  readonly work: WorkCache
  readonly judge: Judges
  /** Milliseconds for which superseded files stay. */
  readonly grace: number
  /** Told after every publish. */
  readonly changed: (repository: string) => void
}

/** How files of a dialect are judged at this instant; a root needs the name of the repository that it is to be for. */
export type Judges = (dialect: Dialect, repository?: string) => Judge

/** Attempts when another server publishes to the same repository. */
const ATTEMPTS = 5

export function makePublisher(options: PublisherOptions): Publisher {
  const queue = makeQueue()
  return {
    async publish(request) {
      const state = await options.store.metadata.state(request.repository)
      const dialect = dialectOf(state, request.upload)
      if (request.upload.size === 0 && !RULES[dialect].takesNothing) {
        throw new Problem('MALFORMED_UPLOAD', { reason: 'it has no files' })
      }
      const upload = withoutIgnored(request.upload, dialect)
      for (const role of upload.keys()) RULES[dialect].refuseRole(role)
      refuseStale(state, upload, dialect)
      return queue.run(request.repository, () => attempt(options, request, ATTEMPTS))
    },
    async moveIn(request) {
      const judge = { ...options.judge('notary-v1'), repository: request.repository }
      refuseOtherThanNotary(request.upload, judge.limits)
      return queue.run(request.repository, () => takeIn(options, request, judge))
    },
    remove: (removal) =>
      queue.run(removal.repository, async () => {
        const removed = await options.store.metadata.remove(removal)
        options.changed(removal.repository)
        return removed
      }),
    idle: () => queue.idle(),
  }
}

/** How files are judged: by the trust rules, at this instant, each byte array once. */
export function makeJudge(clock: () => number, limits: Limits = DEFAULT_LIMITS): Judges {
  const suite = memoSuite(nativeSuite)
  const codecs = { 'tuf-1.0': memoCodec(tufCodec), 'notary-v1': memoCodec(notaryCodec) }
  return (dialect, repository) => {
    const codec = codecs[dialect]
    return { codec, suite, limits: { ...limits, ...codec.limits }, now: instant(Math.floor(clock())), repository }
  }
}

/** What is stored decides for good; a new repository's first root decides for it. Throws INVALID_UPDATE. */
function dialectOf(state: RepositoryState | undefined, upload: Upload): Dialect {
  const root = upload.get(ROOT)
  const told = root && peekDialect(root.bytes)
  if (state === undefined) return told ?? 'tuf-1.0'
  if (told === undefined || told === state.dialect) return state.dialect
  throw invalidUpdate('OTHER_DIALECT', { role: ROOT, dialect: state.dialect })
}

/** undefined for what is no root of any dialect; it is refused where it is decoded. */
function peekDialect(root: Uint8Array): Dialect | undefined {
  try {
    return codecOf(root, DEFAULT_LIMITS).dialect
  } catch (error) {
    if (isTrustError(error)) return undefined
    throw error
  }
}

async function attempt(options: PublisherOptions, request: PublishRequest, left: number): Promise<Published> {
  const { store, changed } = options
  const { repository } = request
  const state = await store.metadata.state(repository)
  const dialect = dialectOf(state, request.upload)
  const judge = options.judge(dialect, repository)
  const upload = withoutIgnored(request.upload, dialect)
  if (isRepeated(state, upload, judge)) return { versions: versionsOf(state), leftBehind: [], signed: new Map() }
  refuseOtherSnapshot(state, request)
  refuseStale(state, upload, dialect)
  const next = await nextState(options, judge, state, { ...request, upload })
  const completes = proposalOf(judge, repository, upload.keys(), next.files)
  const publication = { ...publicationOf(options, judge, state, request, next), completes }
  const [stored] = await store.metadata.publish([publication])
  if (stored !== true) {
    if (left <= 1) throw new Problem('TOO_MANY_REQUESTS', { what: `publishes to ${repository}` })
    return attempt(options, request, left - 1)
  }
  changed(repository)
  for (const file of next.files) options.work.keep(repository, file)
  await options.online.published(repository, onlineVersions(next.files))
  const versions = new Map([...versionsOf(state), ...next.files.map(({ role, version }) => [role, version] as const)])
  return { versions, leftBehind: next.leftBehind, signed: signedIn(next.files) }
}

/** What a proposal of these very files is called, whether or not there is one. */
function proposalOf(judge: Judge, repository: string, uploaded: Iterable<RoleName>, files: NextState['files']): string {
  const roles = new Set(uploaded)
  const sent = files.filter(({ role }) => roles.has(role) && role !== ROOT && role !== SNAPSHOT)
  const payloads = sent.map(({ role, bytes }) => [role, judge.codec.decode('targets', bytes, judge).payload] as const)
  return proposalId(repository, new Map(payloads), judge.suite)
}

async function takeIn(options: PublisherOptions, request: PublishRequest, judge: Judge): Promise<Published> {
  const { store, changed } = options
  const { repository, upload } = request
  const current = (await store.metadata.state(repository))?.files.get(ROOT)?.version
  if (current !== undefined) throw new Problem('VERSION', { role: ROOT, current, got: 1 })
  const lastSigned = await store.metadata.lastSigned(repository)
  const next = await arriving(options, { repository, upload, judge, lastSigned })
  const [stored] = await store.metadata.publish([publicationOf(options, judge, undefined, request, next)])
  if (stored !== true) return takeIn(options, request, judge)
  changed(repository)
  await options.online.published(repository, onlineVersions(next.files))
  const versions = new Map(next.files.map(({ role, version }) => [role, version] as const))
  return { versions, leftBehind: next.leftBehind, signed: signedIn(next.files) }
}

function signedIn(files: NextState['files']): Published['signed'] {
  const signed = new Map<OnlineRole, Uint8Array>()
  for (const online of ONLINE_ROLES) {
    const file = files.find(({ role }) => role === roleName(online))
    if (file !== undefined) signed.set(online, file.bytes)
  }
  return signed
}

/** Roles are published one by one, but what one of them may say can depend on what another one says. */
function refuseOtherSnapshot(state: RepositoryState | undefined, { seenSnapshot }: PublishRequest): void {
  const current = state?.files.get(SNAPSHOT)
  if (seenSnapshot === undefined || current?.sha256 === seenSnapshot) return
  throw new Problem('SNAPSHOT_CHANGED', { current: current?.version ?? 0 })
}

/** Before a megabyte is parsed: most that come too late can be told from their last bytes. */
function refuseStale(state: RepositoryState | undefined, upload: Upload, dialect: Dialect): void {
  for (const [role, { kind, bytes }] of upload) {
    const got = kind === 'file' ? peekVersion(bytes) : undefined
    const repeated = state?.files.get(role)?.length === bytes.length && state.files.get(role)?.version === got
    if (got !== undefined && !repeated) RULES[dialect].refuseOutOfTurn(state, role, got)
  }
}

function withoutIgnored(upload: Upload, dialect: Dialect): Upload {
  return new Map([...upload].filter(([role]) => !RULES[dialect].ignored.has(role)))
}

/** The very files that are current: somebody sends again what was stored, because our answer was lost on the way. */
function isRepeated(state: RepositoryState | undefined, upload: Upload, { suite }: Judge): state is RepositoryState {
  if (state === undefined || upload.size === 0) return false
  return [...upload].every(([role, { kind, bytes }]) => {
    const record = state.files.get(role)
    return kind === 'file' && record?.length === bytes.length && record.sha256 === suite.hash('sha256', bytes)
  })
}

async function nextState(
  options: PublisherOptions,
  judge: Judge,
  state: RepositoryState | undefined,
  { repository, upload }: PublishRequest,
): Promise<NextState> {
  const stored: Candidate['stored'] = async (role) => {
    const record = state?.files.get(role)
    return record && options.work.load(repository, record)
  }
  try {
    const uploaded = await wholeFiles(judge, state, upload, stored)
    const lastSigned = state === undefined ? await options.store.metadata.lastSigned(repository) : lastSignedOf(state)
    const before = lastSigned === undefined ? {} : { lastSigned }
    return await validate(options, { repository, judge, state, uploaded, stored, ...before })
  } catch (error) {
    if (isTrustError(error)) throw untrusted(error)
    throw error
  }
}

/** Root first, then targets: errors are then told in the order in which a client would meet them. */
async function wholeFiles(
  judge: Judge,
  state: RepositoryState | undefined,
  upload: Upload,
  stored: Candidate['stored'],
): Promise<ReadonlyMap<RoleName, Uint8Array>> {
  const rank = (role: RoleName) => (role === ROOT ? 0 : role === TARGETS ? 1 : 2)
  const uploaded = new Map<RoleName, Uint8Array>()
  for (const [role, part] of [...upload].sort(([a], [b]) => rank(a) - rank(b))) {
    uploaded.set(role, part.kind === 'file' ? part.bytes : await rebuilt(judge, state, role, part, stored))
  }
  return uploaded
}

async function rebuilt(
  judge: Judge,
  state: RepositoryState | undefined,
  role: RoleName,
  { bytes }: UploadPart,
  stored: Candidate['stored'],
): Promise<Uint8Array> {
  const delta = decodeDelta(bytes, judge)
  refuseOtherBase(role, delta, state?.files.get(role))
  const base = await stored(role)
  if (base === undefined) throw new Problem('VERSION', { role, current: 0, got: delta.change.version })
  return applyDelta(delta, judge.codec.decode('targets', base, judge).body, judge)
}

function publicationOf(
  { grace }: PublisherOptions,
  { now, codec: { dialect } }: Judge,
  state: RepositoryState | undefined,
  { repository, by, request }: PublishRequest,
  { files, changes, retire, holdsSnapshot, leaving }: NextState,
): Publication {
  const actor = by === undefined ? {} : { actor: by }
  const detail = { versions: Object.fromEntries(files.map(({ role, version }) => [role, version])) }
  const audit: NewAuditEntry = { at: now, ...actor, action: 'publish', subject: repository, request, detail }
  return {
    repository,
    base: state?.revision ?? 0,
    at: now,
    pruneBefore: now - grace,
    files,
    dialect,
    holdsSnapshot,
    leaving,
    changes,
    retire,
    audit,
    ...(by === undefined ? {} : { by }),
  }
}

function versionsOf(state: RepositoryState | undefined): ReadonlyMap<RoleName, number> {
  return new Map([...(state?.files ?? [])].map(([role, { version }]) => [role, version]))
}
