/** The targets roles that go with a root: they count under its keys, and say nothing that they did not say before. */
import { isDeepStrictEqual } from 'node:util'
import { sameBytes } from '../../keys/bytes.ts'
import {
  authorityOf,
  delegatedAuthority,
  delegationTo,
  firstTargets,
  isTrustError,
  keySetOf,
  nextTargets,
  REPOSITORY_FIELD,
  ROOT,
  TARGETS,
  verifyThreshold,
} from '../../tuf/index.ts'
import type { Authority, RoleName, Root, Signed, Targets } from '../../tuf/index.ts'
import { customsOf } from '../publish/customs.ts'
import { CeremonyError } from './errors.ts'
import type { Companion, Opened, Question } from './opened.ts'
import { isRekeyed } from './rekeyed.ts'

/** Throws PROPOSAL_UNSOUND and TAGS_CHANGED, and TrustError for what is no targets file at all. */
export function acceptCompanions(question: Question, next: Root): Pick<Opened, 'companions' | 'staying'> {
  const { chain, proposal, unsound } = question
  const followed = chain.at(-1)?.root
  const companions: Companion[] = []
  const waiting = new Map([...proposal.next].filter(([role]) => role !== ROOT))
  for (let delegator = take(waiting, TARGETS); delegator !== undefined; delegator = nextOf(waiting, companions)) {
    companions.push(acceptCompanion(question, { next, followed, companions }, ...delegator))
  }
  const [left] = waiting.keys()
  if (left !== undefined) throw unsound(`it would publish ${left}, to which no role that goes with it delegates`)
  if (followed === undefined && companions.length === 0) throw unsound('it founds a repository without targets')
  const changes = followed !== undefined && !isDeepStrictEqual(signersIn(followed), signersIn(next))
  return {
    companions,
    staying: changes && companions.length === 0 ? stayingTargets(question, followed, next) : undefined,
  }
}

type Around = { readonly next: Root; readonly followed: Root | undefined; readonly companions: readonly Companion[] }
type File = readonly [RoleName, Uint8Array]

function take(waiting: Map<RoleName, Uint8Array>, role: RoleName): File | undefined {
  const bytes = waiting.get(role)
  waiting.delete(role)
  return bytes && [role, bytes]
}

/** A role whose delegator was accepted already. */
function nextOf(waiting: Map<RoleName, Uint8Array>, companions: readonly Companion[]): File | undefined {
  const role = [...waiting.keys()].find((name) => delegatorOf(companions, name) !== undefined)
  return role && take(waiting, role)
}

function delegatorOf(companions: readonly Companion[], role: RoleName): Companion | undefined {
  return companions.find(({ signed }) => delegationTo(signed.body, role) !== undefined)
}

function acceptCompanion(question: Question, around: Around, role: RoleName, bytes: Uint8Array): Companion {
  const { judge, unsound } = question
  const signed = judge.codec.decode('targets', bytes, judge)
  const { unknown, signatures } = signed
  if (unknown.size > 0 || signatures.some((each) => each.unknown.size > 0))
    throw unsound(`${role} has more around it than signatures`)
  const before = beforeOf(question, around, role)
  refuseNews(question, role, signed.body, before)
  refuseHidden(question, around, role, signed, before)
  const demand = { by: `root ${around.next.version}`, authority: authorityAfter(around, role) }
  return { role, signed, before, demands: [demand] }
}

/** What the role says now, by the word of the root that is followed. */
function beforeOf({ judge, proposal, unsound }: Question, around: Around, role: RoleName): Targets | undefined {
  const { followed, companions } = around
  if (followed === undefined) return undefined
  const bytes = proposal.before.get(role)
  if (bytes === undefined) throw unsound(`it does not say what ${role} says now`)
  const delegator = delegatorOf(companions, role)?.before
  const authority = delegator === undefined ? authorityOf(followed, TARGETS) : delegatedAuthority(delegator, role)
  return verifyThreshold(authority, judge.codec.decode('targets', bytes, judge), judge.suite)
}

function authorityAfter({ next, companions }: Around, role: RoleName): Authority {
  const delegator = delegatorOf(companions, role)
  return delegator === undefined ? authorityOf(next, TARGETS) : delegatedAuthority(delegator.signed.body, role)
}

/** Tags may be left out, for somebody had the old key. That one means something else now is nothing to slip in here. */
function refuseNews({ file }: Question, role: RoleName, { targets }: Targets, before: Targets | undefined): void {
  for (const [tag, target] of targets) {
    if (isDeepStrictEqual(before?.targets.get(tag), target)) continue
    throw new CeremonyError('TAGS_CHANGED', { file, role, tag })
  }
}

/** As for the root: the file must be what our own edit makes of the one before. */
function refuseHidden(
  { judge, unsound }: Question,
  { next, followed }: Around,
  role: RoleName,
  { body, payload }: Signed<Targets>,
  before: Targets | undefined,
): void {
  const { codec } = judge
  const { naming } = customsOf(codec)
  const context = { codec, expires: body.expires }
  const repository = judge.repository ?? ''
  const remove = new Set([...(before?.targets.keys() ?? [])].filter((tag) => !body.targets.has(tag)))
  const delegations = body.delegations ?? null
  const made = before === undefined ? firstTargets({}, context) : nextTargets(before, { remove, delegations }, context)
  const isOurs = sameBytes(codec.encode({ ...made, unknown: naming(made.unknown, repository) }), payload)
  if (!isOurs) throw unsound(`${role} changes more than keys and its expiry`)
  if (body.unknown.get(REPOSITORY_FIELD) !== naming(new Map(), repository).get(REPOSITORY_FIELD))
    throw unsound(`${role} is for another repository`)
  if (followed === undefined || before === undefined) return
  const rekeying = { before: keySetOf(followed, TARGETS), after: keySetOf(next, TARGETS) }
  if (!isRekeyed(before.delegations, body.delegations, rekeying))
    throw unsound(`${role} delegates otherwise than before`)
}

function signersIn(root: Root): object {
  const { keyids, threshold } = authorityOf(root, TARGETS).role
  return [keyids.toSorted(), threshold]
}

/** Where the keys of targets change and no targets go with the root, those that are published must be good under them. */
function stayingTargets({ judge, proposal, unsound }: Question, followed: Root, next: Root): Targets {
  const bytes = proposal.before.get(TARGETS)
  if (bytes === undefined) throw unsound('it gives targets other keys, and nothing that they signed')
  const signed = judge.codec.decode('targets', bytes, judge)
  verifyThreshold(authorityOf(followed, TARGETS), signed, judge.suite)
  try {
    return verifyThreshold(authorityOf(next, TARGETS), signed, judge.suite)
  } catch (error) {
    if (isTrustError(error)) throw unsound('it gives targets other keys, and nothing that enough of them signed')
    throw error
  }
}
