/**
 * Next files of targets and of delegated roles that wait for the signatures of others.
 *
 * Nothing here makes trust: a proposed file is told apart from junk by at least one signature of its role, and is
 * published, and judged as any other, once it has as many as it needs. Server and client use the same functions.
 */
import { authorityOf } from '../codec/authority.ts'
import type { Codec } from '../codec/codec.ts'
import { encodeText } from '../codec/json.ts'
import { compareCodePoints } from '../codec/order.ts'
import { TrustError } from '../errors.ts'
import type { Authority } from '../model/authority.ts'
import { TARGETS } from '../model/ids.ts'
import type { KeyId, RoleName } from '../model/ids.ts'
import type { Root, Signed, Targets } from '../model/metadata.ts'
import type { Suite } from '../model/suite.ts'
import { refuseExpired, refuseLarger } from './checks.ts'
import { delegationTo, listedRoles } from './delegations.ts'
import type { Judge } from './states.ts'
import { delegatedAuthority, refuseOtherRepository } from './targets.ts'
import { signersOf } from './threshold.ts'

/** What a proposed file is judged on top of. */
export type ProposalGround = Pick<Judge, 'codec' | 'suite' | 'limits' | 'now'> & {
  readonly root: Root
  /** The file of a role that these keys vouch for today; undefined where there is none. */
  readonly published: (authority: Authority) => Targets | undefined
  /** Delegated roles that may delegate further. */
  readonly delegators: readonly RoleName[]
}

/** One file of a proposal, by whoever may sign it once all of the proposal is in place. */
export type ProposedFile = {
  readonly role: RoleName
  readonly authority: Authority
  readonly signed: Signed<Targets>
  /** Distinct keys that signed so far, by identity, each with the id it signed under. */
  readonly signers: ReadonlyMap<string, KeyId>
  /** What it follows; undefined for a role whose keys have not published. */
  readonly published: Targets | undefined
}

/**
 * Finds who may sign each file, from targets downwards: by the delegator in the proposal where it is there, else by the
 * published one. Throws TrustError for a file that no signer of its role has signed, THRESHOLD; that nobody delegates
 * to, ROLE_NOT_LISTED; that is for another repository, expired, too large, or no targets file at all.
 */
export function judgeProposal(
  ground: ProposalGround,
  files: ReadonlyMap<RoleName, Uint8Array>,
): ReadonlyMap<RoleName, ProposedFile> {
  const judged = new Map<RoleName, ProposedFile>()
  const unseen = new Set<RoleName>([TARGETS, ...files.keys(), ...ground.delegators])
  const waiting: Authority[] = [authorityOf(ground.root, TARGETS)]
  for (let authority = waiting.shift(); authority !== undefined; authority = waiting.shift()) {
    const bytes = files.get(authority.name)
    if (!unseen.delete(authority.name)) continue
    const proposed = bytes && judgeFile(ground, authority, bytes)
    if (proposed !== undefined) judged.set(authority.name, proposed)
    const file = proposed?.signed.body ?? ground.published(authority)
    if (file !== undefined) waiting.push(...below(file, unseen).map((role) => delegatedAuthority(file, role)))
  }
  for (const role of files.keys()) if (!judged.has(role)) throw new TrustError('ROLE_NOT_LISTED', { role })
  return judged
}

function judgeFile(ground: ProposalGround, authority: Authority, bytes: Uint8Array): ProposedFile {
  const { codec, suite, limits, now, root } = ground
  const { name: role } = authority
  refuseLarger(role, bytes, limits.targets)
  const signed = codec.decode('targets', bytes, { suite, limits })
  const signers = signersOf(authority, signed, suite)
  if (signers.size === 0) throw new TrustError('THRESHOLD', { role, need: 1, have: 0 })
  refuseOtherRepository(role, root, signed.body)
  refuseExpired(role, signed.body.expires, now)
  return { role, authority, signed, signers, published: ground.published(authority) }
}

/** In the order of the search. Bins are too many to be listed, so there it is the other way round. */
function below(delegator: Targets, names: ReadonlySet<RoleName>): readonly RoleName[] {
  const listed = listedRoles(delegator).map(({ name }) => name)
  if (delegator.delegations?.succinct === undefined) return listed.filter((name) => names.has(name))
  return [...names].filter((name) => delegationTo(delegator, name) !== undefined)
}

/** How many of the role's keys have yet to sign. */
export function missingSigners({ authority, signers }: Pick<ProposedFile, 'authority' | 'signers'>): number {
  return Math.max(0, authority.role.threshold - signers.size)
}

type Payloads = ReadonlyMap<RoleName, Uint8Array>

/** What a proposal is called: made of the very bytes that are signed, and of the repository they are for. */
export function proposalId(repository: string, payloads: Payloads, suite: Suite): string {
  const lines = [...payloads]
    .toSorted(([a], [b]) => compareCodePoints(a, b))
    .map(([role, payload]) => `${suite.hash('sha256', payload)} ${role}\n`)
  return suite.hash('sha256', encodeText(`${repository}\n${lines.join('')}`)).slice(0, 32)
}

/** The same for two proposals that differ in nothing but until when their files are good. */
export function likenessOf(
  repository: string,
  bodies: ReadonlyMap<RoleName, Targets>,
  { codec, suite }: { readonly codec: Codec; readonly suite: Suite },
): string {
  const payloads = [...bodies].map(
    ([role, body]) => [role, codec.encode({ ...body, expiresText: codec.date(0) })] as const,
  )
  return proposalId(repository, new Map(payloads), suite)
}
