/**
 * From an upload to the next state of a repository, or to the reason why clients would refuse it. The judgement is the
 * client's own workflow (`tuf/verify`), walked over the set as it would be served; what is added here is what a server
 * must refuse to store although a client could read it. Keys outside of this process sign only what passed all of it.
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
  regardlessOfExpiry,
  refuseSilenced,
  signersOf,
  stillTrusted,
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
} from '../../tuf/index.ts'
import { invalidUpdate } from '../problem.ts'
import type { LastSigned, NewFile, RepositoryState, RoleChange } from '../storage/store.ts'
import { delegationChanges, orderBefore, tagChanges } from './changes.ts'
import { completeBoth, completeOver } from './complete.ts'
import type { Completed, Completion, Subject } from './complete.ts'
import { acceptUploaded, begunAnew, leftBehind } from './delegated.ts'
import type { AcceptedRole } from './delegated.ts'
import { RULES } from './dialects.ts'
import { draftOf } from './draft.ts'
import type { NextSnapshot, Rules } from './rules.ts'
import { refuseBelowLost } from './versions.ts'

/** What an upload is judged against. `uploaded` holds whole files: deltas are already applied. */
export type Candidate = {
  readonly repository: string
  readonly judge: Judge
  readonly state: RepositoryState | undefined
  readonly uploaded: ReadonlyMap<RoleName, Uint8Array>
  /** The stored file of a role. */
  readonly stored: (role: RoleName) => Promise<Uint8Array | undefined>
  /** It comes whole from another server: what has expired there is its signers' business, who could not sign it here yet. */
  readonly moving?: true
  /** Of a deleted repository of that name, or before a backup was put back. */
  readonly lastSigned?: LastSigned
}

export type NextState = {
  readonly files: readonly NewFile[]
  readonly changes: readonly RoleChange[]
  /** Online keys that the old root named and the new one does not. */
  readonly retire: readonly KeyId[]
  /** Whether the snapshot is the server's to sign. */
  readonly holdsSnapshot: boolean
  /** Stored roles whose files go, be it without a successor or before one of any version. */
  readonly leaving: readonly RoleName[]
  /** Delegated roles that clients refuse until their new keys have signed them. */
  readonly leftBehind: readonly RoleName[]
}

/** Throws Problem or TrustError; nothing is stored here. */
export async function validate(completion: Completion, candidate: Candidate): Promise<NextState> {
  const rules = RULES[candidate.judge.codec.dialect]
  const decoded = decodeUploaded(candidate, rules)
  const { trust, previous } = await acceptRoots(candidate, completion, rules)
  const holdsSnapshot = await completion.online.holds(candidate.repository, 'snapshot', trust)
  const next = await rules.nextSnapshot({ ...candidate, decoded }, holdsSnapshot)
  const { outside } = completion.online
  const draft = outside ? draftOf(completion, trust) : { completion, trust }
  const drafted = await completed(draft.completion, candidate, { trust: draft.trust, rules }, next)
  refuseLargeSnapshot(drafted.snapshot, candidate.judge)
  const afterTargets = await acceptTopTargets(candidate, { ...drafted.trust, suite: trust.suite })
  await refuseLessHeard(candidate, afterTargets)
  const judging = candidate.moving === true ? regardlessOfExpiry(afterTargets) : afterTargets
  const accepted = await acceptUploaded(judging, await nextFiles(candidate))
  const anew = await begunAnew(afterTargets, accepted, candidate.state, candidate.stored)
  const roles = await changedRoles(candidate, decoded, afterTargets, accepted)
  for (const { role, file, previous: before } of roles) rules.refuseUnwritable(role, before, file)
  const made = outside ? await completed(completion, candidate, { trust, rules }, next) : drafted
  return {
    files: [...candidate.uploaded, ...filesOf(made)].map(([role, bytes]) => newFile(candidate.judge, role, bytes)),
    changes: [...roles.map((role) => changeOf(candidate.judge, role)), ...(await emptied(candidate, next.leaving))],
    retire: previous === undefined ? [] : await completion.online.retired(candidate.repository, previous, trust),
    leftBehind: await leftBehind(afterTargets, roles, storedRoles(candidate, next.leaving), candidate.stored),
    holdsSnapshot,
    leaving: [...next.leaving, ...anew, ...made.anew],
  }
}

type Decoded = ReadonlyMap<RoleName, Signed<Metadata>>

function decodeUploaded({ uploaded, judge, state }: Candidate, { refuseOutOfTurn }: Rules): Decoded {
  const decoded = new Map<RoleName, Signed<Metadata>>()
  for (const [role, bytes] of uploaded) {
    const file = judge.codec.decode(typeOf(role), bytes, judge)
    refuseOutOfTurn(state, role, file.body.version)
    refuseBelowLost(state, role, { version: file.body.version, sha256: judge.suite.hash('sha256', bytes) })
    decoded.set(role, file)
  }
  return decoded
}

/** The root that decides from now on: the stored one, or its successor. A new repository brings its own. */
async function acceptRoots(
  { judge, uploaded, stored, repository }: Candidate,
  { online }: Completion,
  rules: Rules,
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
  rules.refuseRoot(trust.root)
  refuseOtherName(repository, trust)
  await online.refuseForeign(repository, trust, rules.theirs)
  return { trust, previous: previous?.root }
}

/** Clients refuse a root that names another repository. One that names none is for them to judge: it is their pin. */
function refuseOtherName(repository: string, { codec, root }: AfterRoot): void {
  const named = codec.repositoryOf(root, { repository })
  if (named !== undefined && named !== repository) throw invalidUpdate('OTHER_REPOSITORY', { repository, named })
}

/** Timestamp, and snapshot unless that came with the upload. */
async function completed(
  completion: Completion,
  candidate: Candidate,
  { trust, rules }: Pick<Subject, 'trust' | 'rules'>,
  next: NextSnapshot,
): Promise<Completed> {
  const { repository, judge, state, lastSigned } = candidate
  const deleted = lastSigned === undefined ? {} : { lastSigned }
  const subject = { repository, trust, rules, now: judge.now, state, ...deleted }
  const previous = await storedOnline(candidate)
  if ('bytes' in next) return completeOver(completion, subject, previous, next.bytes)
  return completeBoth(completion, subject, previous, next.make)
}

async function storedOnline({ stored }: Candidate) {
  const [timestamp, snapshot] = [await stored(TIMESTAMP), await stored(SNAPSHOT)]
  return { ...(timestamp === undefined ? {} : { timestamp }), ...(snapshot === undefined ? {} : { snapshot }) }
}

/** A client takes what the timestamp announces, whatever its length; the bound is ours to keep. */
function refuseLargeSnapshot(snapshot: Uint8Array | undefined, { limits }: Judge): void {
  if (snapshot !== undefined && snapshot.length > limits.snapshot) {
    throw new TrustError('TOO_LARGE', { what: SNAPSHOT, limit: limits.snapshot })
  }
}

async function acceptTopTargets(
  { uploaded, stored, moving }: Candidate,
  trust: Parameters<typeof acceptTargets>[0],
): Promise<AfterTargets> {
  const bytes = uploaded.get(TARGETS)
  if (bytes !== undefined && moving !== true) return acceptTargets(trust, bytes)
  const kept = bytes ?? (await stored(TARGETS))
  if (kept === undefined) throw invalidUpdate('INCOMPLETE', { missing: TARGETS })
  return { ...acceptTargets(regardlessOfExpiry(trust), kept), now: trust.now }
}

/** A publisher's own snapshot that clients who saw the one before would refuse. */
async function refuseLessHeard({ stored }: Candidate, trust: AfterTargets): Promise<void> {
  const [snapshot, bytes] = [await stored(SNAPSHOT), await stored(TARGETS)]
  const before = snapshot && stillTrusted(trust, 'snapshot', snapshot)
  if (before !== undefined && bytes !== undefined) refuseSilenced(trust, before, { bytes, file: trust.targets })
}

async function nextFiles({ state, uploaded, stored }: Candidate) {
  const delegated = new Map([...uploaded].filter(([role]) => !TOP.has(role)))
  const delegators = [...(state?.files.values() ?? [])]
    .filter(({ role, delegates }) => delegates && role !== TARGETS && !delegated.has(role))
    .map(({ role }) => role)
  return { uploaded: delegated, delegators, stored }
}

/** Stored files of delegated roles that stay as they are. */
function storedRoles({ state, uploaded }: Candidate, leaving: readonly RoleName[]): ReadonlySet<RoleName> {
  const stored = [...(state?.files.keys() ?? [])]
  return new Set(stored.filter((role) => !TOP.has(role) && !uploaded.has(role) && !leaving.includes(role)))
}

const TOP: ReadonlySet<RoleName> = new Set([ROOT, TIMESTAMP, SNAPSHOT, TARGETS])

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
    if (role === ROOT || role === SNAPSHOT) continue
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
  const order = orderBefore(previous, file)
  return {
    role,
    version: file.version,
    keyids,
    tags: tagChanges(previous, file, suite),
    delegations: delegationChanges(previous, file),
    ...(order === undefined ? {} : { order }),
  }
}

/** With a role that leaves, its tags mean nothing any more in it; nobody signed that but its delegator. */
async function emptied({ judge, state, stored }: Candidate, leaving: readonly RoleName[]): Promise<RoleChange[]> {
  const changes: RoleChange[] = []
  for (const role of leaving) {
    const [record, bytes] = [state?.files.get(role), await stored(role)]
    if (record === undefined || bytes === undefined) continue
    const { targets } = judge.codec.decode('targets', bytes, judge).body
    changes.push({ role, version: record.version, keyids: [], tags: [...targets.keys()].map((tag) => ({ tag })) })
  }
  return changes
}

function filesOf({ timestamp, snapshot }: Completed): readonly (readonly [RoleName, Uint8Array])[] {
  return [[TIMESTAMP, timestamp], ...(snapshot === undefined ? [] : [[SNAPSHOT, snapshot] as const])]
}

/** As it will be stored and served: the bytes that came, or that we made, and what they hash to. */
export function newFile(judge: Judge, role: RoleName, bytes: Uint8Array): NewFile {
  const { body } = judge.codec.decode(typeOf(role), bytes, judge)
  const { suite } = judge
  return {
    role,
    version: body.version,
    expires: body.expires,
    delegates: body.type === 'targets' && delegates(body),
    bytes,
    length: bytes.length,
    sha256: suite.hash('sha256', bytes),
    sha512: suite.hash('sha512', bytes),
  }
}

function delegates({ delegations }: Targets): boolean {
  return delegations !== undefined && (delegations.roles.length > 0 || delegations.succinct !== undefined)
}

/** Delegated roles are targets files. */
function typeOf(role: RoleName): TopRole {
  const name: string = role
  return name === 'root' || name === 'timestamp' || name === 'snapshot' ? name : 'targets'
}
