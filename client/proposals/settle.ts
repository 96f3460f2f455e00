/** Signing what pends with the keys of this machine, and publishing it once it has signatures enough. */
import { missingSigners } from '../../tuf/index.ts'
import type { RoleName } from '../../tuf/index.ts'
import { isPublishError } from '../publish/errors.ts'
import { patiently } from '../publish/publish.ts'
import type { Desk } from '../publish/publish.ts'
import type { Standing } from '../publish/standing.ts'
import type { PendingProposal, RoleSignature } from './api.ts'
import { isComplete, review } from './review.ts'
import type { Reviewed } from './review.ts'

export type Settled =
  | { readonly kind: 'published'; readonly unsigned: readonly string[]; readonly added: number }
  | { readonly kind: 'pending'; readonly reviewed: Reviewed; readonly added: number }
  /** It was published, or is stale, or was taken back, since it was read. */
  | { readonly kind: 'overtaken' }

/** A request of the server's holds some dozens; a signature of a large key has a kilobyte of text. */
const AT_ONCE = 32

export async function settle(desk: Desk, standing: Standing, reviewed: Reviewed): Promise<Settled> {
  const signatures = await signaturesFor(desk, reviewed)
  const pending = await handedIn(desk, reviewed.pending, signatures)
  if (pending === undefined) return { kind: 'overtaken' }
  const added = signatures.length
  const signed = added === 0 ? reviewed : await review(standing, desk, pending)
  // Whoever adds the last signature publishes; where two did at once, each finds it complete.
  if (!isComplete(signed)) return { kind: 'pending', reviewed: signed, added }
  return await publishComplete(desk, standing, signed, added)
}

async function signaturesFor({ keyring }: Desk, { files }: Reviewed): Promise<readonly RoleSignature[]> {
  const signatures: RoleSignature[] = []
  for (const file of files) {
    if (missingSigners(file) === 0) continue
    const { role, signed, authority, signers } = file
    const own = await keyring.signPart(signed.payload, authority, new Set(signers.values()))
    signatures.push(...own.map((signature) => ({ role, signature })))
  }
  return signatures
}

/** As the server has it afterwards, with what others signed meanwhile; undefined where it came too late. */
export async function handedIn(
  desk: Desk,
  before: PendingProposal,
  signatures: readonly RoleSignature[],
): Promise<PendingProposal | undefined> {
  let pending: PendingProposal | undefined = before
  for (let at = 0; at < signatures.length && pending !== undefined; at += AT_ONCE) {
    pending = await signedOn(desk, before.id, signatures.slice(at, at + AT_ONCE))
  }
  // By the name that we signed under: whatever else came back is found out when it is reviewed.
  return pending && { ...pending, id: before.id }
}

async function signedOn(
  desk: Desk,
  id: string,
  signatures: readonly RoleSignature[],
): Promise<PendingProposal | undefined> {
  try {
    const outcome = await patiently(desk, () => desk.server.proposals.sign(id, signatures))
    return outcome.kind === 'kept' ? outcome.proposal : undefined
  } catch (error) {
    if (isPublishError(error) && error.code === 'NOT_THERE') return undefined
    throw error
  }
}

async function publishComplete(
  desk: Desk,
  { codec, ...standing }: Standing,
  { files }: Reviewed,
  added: number,
): Promise<Settled> {
  const whole = new Map<RoleName, Uint8Array>(
    files.map(({ role, bytes, signatures }) => [role, codec.resign(bytes, signatures, standing)] as const),
  )
  const outcome = await patiently(desk, () => desk.server.upload(whole))
  if (outcome.kind === 'conflict') return { kind: 'overtaken' }
  await desk.stored(whole, outcome.signed)
  return { kind: 'published', unsigned: outcome.unsigned, added }
}
