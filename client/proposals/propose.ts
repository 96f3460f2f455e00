/** Leaving a publish on the server that this machine can sign, but not enough. */
import { likenessOf, proposalId, signersOf } from '../../tuf/index.ts'
import type { RoleName, Targets } from '../../tuf/index.ts'
import { customsOf } from '../publish/customs.ts'
import type { Edit, Plan } from '../publish/edit.ts'
import { PublishError } from '../publish/errors.ts'
import type { Waiting } from '../publish/errors.ts'
import { named, patiently } from '../publish/publish.ts'
import type { Desk, Published } from '../publish/publish.ts'
import type { Standing } from '../publish/standing.ts'
import type { PendingProposal, RoleSignature } from './api.ts'
import { review, waitingFor } from './review.ts'
import { handedIn, settle } from './settle.ts'

/** What waits for others now. */
export type Pending = { readonly id: string; readonly expiresAt: number; readonly roles: readonly Waiting[] }
export type Outcome = Published & { readonly pending?: Pending }

/** Others publishing in its place, time and again. */
const ATTEMPTS = 10
const DAY_MS = 86_400_000

/**
 * Signs what the plan makes as far as keys are here, and leaves it for others; where the same change pends already, its
 * signatures go to that one, and where that makes enough of them it is published. Throws NO_SIGNING_KEY where a file of
 * it could not be signed by any key here.
 */
export async function propose(desk: Desk, plan: Plan): Promise<Outcome> {
  for (let attempts = 0; attempts < ATTEMPTS; attempts++) {
    const standing = await desk.standing()
    const edits = (await plan(standing)).map((edit) => named(edit, standing.codec, desk.repository))
    if (edits.length === 0) return { published: attempts > 0, attempts, unsigned: [] }
    const outcome = await attempt(desk, standing, edits)
    if (outcome !== undefined) return { ...outcome, attempts: attempts + 1 }
    desk.patience.again('somebody else published first')
  }
  throw new PublishError('CONFLICT', { repository: desk.repository, attempts: ATTEMPTS, milliseconds: 0 })
}

/** undefined where it came too late. */
async function attempt(
  desk: Desk,
  standing: Standing,
  edits: readonly Edit[],
): Promise<Omit<Outcome, 'attempts'> | undefined> {
  const proposal = await kept(desk, standing, edits)
  if (proposal === undefined) return undefined
  const settled = await settle(desk, standing, await review(standing, desk, proposal))
  switch (settled.kind) {
    case 'overtaken':
      return undefined
    case 'published':
      return { published: true, unsigned: settled.unsigned }
    case 'pending': {
      const { pending } = settled.reviewed
      const roles = waitingFor(settled.reviewed)
      return { published: false, unsigned: [], pending: { id: pending.id, expiresAt: pending.expiresAt, roles } }
    }
  }
}

/** The proposal of these edits: a new one with our signatures, or the one that somebody else left. */
async function kept(desk: Desk, standing: Standing, edits: readonly Edit[]): Promise<PendingProposal | undefined> {
  const bodies = targetsOf(desk, standing, edits)
  const files = new Map<RoleName, Uint8Array>()
  const payloads = new Map<RoleName, Uint8Array>()
  for (const { role, body, authorities } of edits) {
    const [authority] = authorities
    if (authority === undefined) throw new Error('each edit is signed by somebody')
    const payload = standing.codec.encode(body)
    payloads.set(role, payload)
    files.set(role, standing.codec.assemble(body, await desk.keyring.signPart(payload, authority, new Set())))
  }
  const outcome = await patiently(desk, () => desk.server.proposals.propose(files))
  // Under the name of what was sent: whatever else came back is not what we meant to sign.
  if (outcome.kind === 'kept') {
    return { ...outcome.proposal, id: proposalId(desk.repository, payloads, standing.suite) }
  }
  if (outcome.kind === 'late') return undefined
  const like = await desk.server.proposals.get(outcome.id)
  refuseUnlike(desk, standing, bodies, like)
  return await joined(desk, standing, edits, like)
}

/**
 * Somebody else's with our signatures on it. They come first, before it is judged: the keys that signed it may have left
 * the role since, and then it has none that counts.
 */
async function joined(
  desk: Desk,
  { codec, suite, limits }: Standing,
  edits: readonly Edit[],
  like: PendingProposal,
): Promise<PendingProposal | undefined> {
  const signatures: RoleSignature[] = []
  for (const { role, bytes, signatures: theirs } of like.files) {
    const [authority] = edits.find((edit) => edit.role === role)?.authorities ?? []
    if (authority === undefined) throw new Error('it has the files of our edits')
    const signed = codec.decode('targets', codec.resign(bytes, theirs, { suite, limits }), { suite, limits })
    const own = await desk.keyring.signPart(
      signed.payload,
      authority,
      new Set(signersOf(authority, signed, suite).values()),
    )
    signatures.push(...own.map((signature) => ({ role, signature })))
  }
  return await handedIn(desk, like, signatures)
}

/** Throws NO_SIGNING_KEY for what is not proposed: a root, files that no key here signs, the dialect without thresholds. */
function targetsOf(desk: Desk, { codec }: Standing, edits: readonly Edit[]): ReadonlyMap<RoleName, Targets> {
  const bodies = new Map<RoleName, Targets>()
  for (const { role, body, authorities } of edits) {
    const mayWait = customsOf(codec).proposes && authorities.every(desk.keyring.canHelp)
    if (body.type === 'root' || !mayWait) {
      for (const authority of authorities) desk.keyring.refuseUnable(authority)
    }
    if (body.type === 'targets') bodies.set(role, body)
  }
  return bodies
}

/** The server says which proposal is of the same change: it must be, in everything but a few days of its expiry. */
function refuseUnlike(
  { repository, server: { server } }: Desk,
  standing: Standing,
  bodies: ReadonlyMap<RoleName, Targets>,
  { id, files }: PendingProposal,
): void {
  const theirs = new Map(
    files.map(({ role, bytes }) => [role, standing.codec.decode('targets', bytes, standing).body] as const),
  )
  if (likenessOf(repository, theirs, standing) !== likenessOf(repository, bodies, standing)) {
    throw new PublishError('BAD_ANSWER', { server, why: `proposal ${id} is of another change than it says` })
  }
  for (const [role, body] of bodies) {
    const other = theirs.get(role)?.expires ?? 0
    if (other <= body.expires + DAY_MS && other >= body.expires - LONGEST_WAIT_MS) continue
    const why = `${role} would be good until ${new Date(other).toISOString()}`
    throw new PublishError('PROPOSAL_UNFIT', { proposal: id, why })
  }
}

/** As long as the server keeps one. */
const LONGEST_WAIT_MS = 90 * DAY_MS
