/**
 * From an upload to the next state of a repository, or to the reason why clients would refuse it. The judgement is the
 * client's own workflow (`tuf/verify`), walked over the set as it would be served; what is added here is what a server
 * must refuse to store although a client could read it.
 */
import {
  ROOT,
  SNAPSHOT,
  TARGETS,
  TIMESTAMP,
  TrustError,
  acceptRoot,
  acceptTargets,
  authorityOf,
  delegatedAuthority,
  finishRoot,
  openRoot,
  repositoryOf,
  signersOf,
} from '../../tuf/index.ts'
import type {
  AfterRoot,
  AfterTargets,
  Authority,
  Judge,
  KeyId,
  Metadata,
  RoleName,
  Root,
  Signed,
  Targets,
  TopRole,
  Version,
} from '../../tuf/index.ts'
import { invalidUpdate } from '../problem.ts'
import { ONLINE_ROLES } from '../signing/online-keys.ts'
import type { NewFile, RepositoryState, RoleChange } from '../storage/store.ts'
import { refuseUnwritable, tagChanges } from './changes.ts'
import { completeBoth } from './complete.ts'
import type { Completion } from './complete.ts'
import { acceptUploaded, leftBehind, regardlessOfExpiry } from './delegated.ts'
import type { AcceptedRole } from './delegated.ts'
import { refuseOutOfTurn } from './versions.ts'

/** What an upload is judged against. `uploaded` holds whole files: deltas are already applied. */
export type Candidate = {
  readonly repository: string
  readonly judge: Judge
  readonly state: RepositoryState | undefined
  readonly uploaded: ReadonlyMap<RoleName, Uint8Array>
  /** The stored file of a role. */
  readonly stored: (role: RoleName) => Promise<Uint8Array | undefined>
}

export type NextState = {
  readonly files: readonly NewFile[]
  readonly changes: readonly RoleChange[]
  /** Online keys that the old root named and the new one does not. */
  readonly retire: readonly KeyId[]
  /** Delegated roles that clients refuse until their new keys have signed them. */
  readonly leftBehind: readonly RoleName[]
}

/** Throws Problem or TrustError; nothing is stored here. */
export async function validate(completion: Completion, candidate: Candidate): Promise<NextState> {
  const decoded = decodeUploaded(candidate)
  const { trust, previous } = await acceptRoots(candidate, completion)
  const completed = await completeBoth(
    completion,
    { repository: candidate.repository, trust, now: candidate.judge.now },
    await storedOnline(candidate),
    listedVersions(decoded),
  )
  refuseLargeSnapshot(completed.snapshot, candidate.judge)
  const afterTargets = await acceptTopTargets(candidate, completed.trust)
  const accepted = await acceptUploaded(afterTargets, await nextFiles(candidate))
  const roles = await changedRoles(candidate, decoded, afterTargets, accepted)
  for (const { file, previous: before } of roles) refuseUnwritable(before, file)
  const online = new Map([
    [TIMESTAMP, completed.timestamp],
    [SNAPSHOT, completed.snapshot ?? new Uint8Array()],
  ])
  return {
    files: [...candidate.uploaded, ...online].map(([role, bytes]) => newFile(candidate.judge, role, bytes)),
    changes: roles.map((role) => changeOf(candidate.judge, role)),
    retire: retired(previous, trust.root),
    leftBehind: await leftBehind(afterTargets, roles, storedRoles(candidate), candidate.stored),
  }
}

type Decoded = ReadonlyMap<RoleName, Signed<Metadata>>

function decodeUploaded({ uploaded, judge, state }: Candidate): Decoded {
  const decoded = new Map<RoleName, Signed<Metadata>>()
  for (const [role, bytes] of uploaded) {
    const file = judge.codec.decode(typeOf(role), bytes, judge)
    refuseOutOfTurn(state, role, file.body.version)
    decoded.set(role, file)
  }
  return decoded
}

/** The root that decides from now on: the stored one, or its successor. A new repository brings its own. */
async function acceptRoots(
  { judge, uploaded, stored, repository }: Candidate,
  { online }: Completion,
): Promise<{ readonly trust: AfterRoot; readonly previous: Root | undefined }> {
  const [before, next] = [await stored(ROOT), uploaded.get(ROOT)]
  if (next === undefined) {
    if (before === undefined) throw invalidUpdate('INCOMPLETE', { missing: ROOT })
    const walking = openRoot(judge, before)
    // A stored root that has expired is the root holders' business; it must not keep others from publishing.
    return { trust: { ...finishRoot(regardlessOfExpiry(walking)), now: judge.now }, previous: walking.root }
  }
  const previous = before === undefined ? undefined : openRoot(judge, before)
  const trust = finishRoot(previous === undefined ? openRoot(judge, next) : acceptRoot(previous, next))
  if (!trust.root.consistentSnapshot) throw invalidUpdate('NOT_CONSISTENT', { role: ROOT })
  refuseOtherName(repository, trust.root)
  await online.refuseForeign(repository, trust.root)
  return { trust, previous: previous?.root }
}

/** Clients refuse a root that names another repository. One that names none is for them to judge: it is their pin. */
function refuseOtherName(repository: string, root: Root): void {
  const named = repositoryOf(root)
  if (named !== undefined && named !== repository) throw invalidUpdate('OTHER_REPOSITORY', { repository, named })
}

async function storedOnline({ stored }: Candidate) {
  const [timestamp, snapshot] = [await stored(TIMESTAMP), await stored(SNAPSHOT)]
  return { ...(timestamp === undefined ? {} : { timestamp }), ...(snapshot === undefined ? {} : { snapshot }) }
}

function listedVersions(decoded: Decoded): ReadonlyMap<RoleName, Version> {
  return new Map([...decoded].filter(([role]) => role !== ROOT).map(([role, { body }]) => [role, body.version]))
}

/** A client takes what the timestamp announces, whatever its length; the bound is ours to keep. */
function refuseLargeSnapshot(snapshot: Uint8Array | undefined, { limits }: Judge): void {
  if (snapshot !== undefined && snapshot.length > limits.snapshot) {
    throw new TrustError('TOO_LARGE', { what: SNAPSHOT, limit: limits.snapshot })
  }
}

async function acceptTopTargets(
  { uploaded, stored }: Candidate,
  trust: Parameters<typeof acceptTargets>[0],
): Promise<AfterTargets> {
  const bytes = uploaded.get(TARGETS)
  if (bytes !== undefined) return acceptTargets(trust, bytes)
  const kept = await stored(TARGETS)
  if (kept === undefined) throw invalidUpdate('INCOMPLETE', { missing: TARGETS })
  return { ...acceptTargets(regardlessOfExpiry(trust), kept), now: trust.now }
}

async function nextFiles({ state, uploaded, stored }: Candidate) {
  const delegated = new Map([...uploaded].filter(([role]) => role !== ROOT && role !== TARGETS))
  const delegators = [...(state?.files.values() ?? [])]
    .filter(({ role, delegates }) => delegates && role !== TARGETS && !delegated.has(role))
    .map(({ role }) => role)
  return { uploaded: delegated, delegators, stored }
}

/** Stored files of delegated roles that stay as they are. */
function storedRoles({ state, uploaded }: Candidate): ReadonlySet<RoleName> {
  const top: ReadonlySet<RoleName> = new Set([ROOT, TIMESTAMP, SNAPSHOT, TARGETS])
  return new Set([...(state?.files.keys() ?? [])].filter((role) => !top.has(role) && !uploaded.has(role)))
}

type ChangedRole = {
  readonly role: RoleName
  readonly signed: Signed<Metadata>
  readonly file: Targets
  readonly previous: Targets | undefined
  readonly authority: Authority
}

async function changedRoles(
  { judge, stored }: Candidate,
  decoded: Decoded,
  { root, targets }: AfterTargets,
  accepted: ReadonlyMap<RoleName, AcceptedRole>,
): Promise<readonly ChangedRole[]> {
  const roles: ChangedRole[] = []
  for (const [role, signed] of decoded) {
    if (role === ROOT) continue
    const delegated = accepted.get(role)
    const before = await stored(role)
    roles.push({
      role,
      signed,
      file: delegated?.file ?? targets,
      previous: before && judge.codec.decode('targets', before, judge).body,
      authority: delegated === undefined ? authorityOf(root, TARGETS) : delegatedAuthority(delegated.delegator, role),
    })
  }
  return roles
}

function changeOf({ suite }: Judge, { role, signed, file, previous, authority }: ChangedRole): RoleChange {
  const keyids = [...signersOf(authority, signed, suite).values()]
  return { role, version: file.version, keyids, tags: tagChanges(previous, file) }
}

function retired(previous: Root | undefined, root: Root): readonly KeyId[] {
  if (previous === undefined) return []
  const named = new Set(onlineKeyIds(root))
  return onlineKeyIds(previous).filter((keyid) => !named.has(keyid))
}

function onlineKeyIds({ roles }: Root): readonly KeyId[] {
  return [...roles].filter(([name]) => ONLINE_ROLES.some((role) => role === name)).flatMap(([, { keyids }]) => keyids)
}

/** As it will be stored and served: the bytes that came, or that we made, and what they hash to. */
export function newFile(judge: Judge, role: RoleName, bytes: Uint8Array): NewFile {
  const { body } = judge.codec.decode(typeOf(role), bytes, judge)
  const { suite } = judge
  return {
    role,
    version: body.version,
    expires: body.expires,
    delegates: body.type === 'targets' && body.delegations !== undefined,
    bytes,
    length: bytes.length,
    sha256: suite.hash('sha256', bytes),
    sha512: suite.hash('sha512', bytes),
  }
}

/** Delegated roles are targets files. */
function typeOf(role: RoleName): TopRole {
  const name: string = role
  return name === 'root' || name === 'timestamp' || name === 'snapshot' ? name : 'targets'
}
