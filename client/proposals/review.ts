/** A proposal judged by what this machine itself knows of the repository, and never by what the server says of it. */
import { instant, judgeProposal, missingSigners, proposalId, roleName } from '../../tuf/index.ts'
import type { ProposalGround, ProposedFile, RoleName, Signature } from '../../tuf/index.ts'
import { PublishError } from '../publish/errors.ts'
import type { Waiting } from '../publish/errors.ts'
import type { Edit } from '../publish/edit.ts'
import { idsHere } from '../publish/keyring.ts'
import { named } from '../publish/publish.ts'
import { allRoles } from '../publish/standing.ts'
import type { HoldingRole, Standing } from '../publish/standing.ts'
import type { PendingProposal } from './api.ts'
import { changesOf } from './changes.ts'
import type { FileChanges } from './changes.ts'

export type ReviewedFile = ProposedFile & {
  /** The file without signatures, as the server has it. */
  readonly bytes: Uint8Array
  /** Those that count. */
  readonly signatures: readonly Signature[]
}
export type Reviewed = {
  readonly repository: string
  readonly pending: PendingProposal
  /** Each delegator before the roles below it. */
  readonly files: readonly ReviewedFile[]
  readonly changes: readonly FileChanges[]
}

export type Reviewing = { readonly repository: string; readonly clock: () => number }

/**
 * Throws PROPOSAL_ALTERED, PROPOSAL_STALE and PROPOSAL_UNFIT, and TrustError for what could never become the next state
 * of this repository.
 */
export async function review(
  standing: Standing,
  { repository, clock }: Reviewing,
  pending: PendingProposal,
): Promise<Reviewed> {
  const { codec } = standing
  const refuse = (why: string): never => {
    throw new PublishError('PROPOSAL_UNFIT', { proposal: pending.id, why })
  }
  refuseAltered(standing, repository, pending)
  refuseOutOfTurn(standing, repository, pending, refuse)
  const roles = new Map((await allRoles(standing)).map((role) => [role.name, role]))
  const bytes = new Map(
    pending.files.map((file) => [file.role, codec.resign(file.bytes, file.signatures, standing)] as const),
  )
  const judged = judgeProposal(groundOf(standing, roles, clock()), bytes)
  const unsigned = new Map(pending.files.map((file) => [file.role, file.bytes]))
  const files = [...judged.values()].map((file) => reviewedFile(file, unsigned.get(file.role)))
  const changes = files.map(({ role, published, signed }) =>
    changesOf({ role, published, next: signed.body, payload: signed.payload, repository, codec, refuse }),
  )
  return { repository, pending, files, changes }
}

function reviewedFile(file: ProposedFile, bytes: Uint8Array | undefined): ReviewedFile {
  if (bytes === undefined) throw new Error('what is judged was given')
  const counting = new Set(file.signers.values())
  return { ...file, bytes, signatures: file.signed.signatures.filter(({ keyid }) => counting.has(keyid)) }
}

/** The name is made of the bytes and of the repository: who names a proposal names what is in it. */
function refuseAltered(standing: Standing, repository: string, { id, files }: PendingProposal): void {
  const { codec, suite } = standing
  const payloads = new Map(
    files.map(({ role, bytes }) => [role, codec.decode('targets', bytes, standing).payload] as const),
  )
  const got = proposalId(repository, payloads, suite)
  if (got !== id) throw new PublishError('PROPOSAL_ALTERED', { proposal: id, got })
}

function refuseOutOfTurn(
  standing: Standing,
  repository: string,
  { id, files }: PendingProposal,
  refuse: (why: string) => never,
): void {
  for (const { role, bytes } of files) {
    const published = standing.snapshot.meta.get(role)?.version ?? 0
    const { version } = standing.codec.decode('targets', bytes, standing).body
    if (version <= published) throw new PublishError('PROPOSAL_STALE', { repository, proposal: id, role })
    if (version > published + 1) refuse(`${role} would jump from version ${published} to ${version}`)
  }
}

/** By the clock: the standing of a publisher passes over what has expired, and this must not. */
function groundOf(standing: Standing, roles: ReadonlyMap<RoleName, HoldingRole>, now: number): ProposalGround {
  const { codec, suite, limits, root } = standing
  return {
    codec,
    suite,
    limits,
    now: instant(now),
    root,
    published: ({ name }) => roles.get(roleName(name))?.file,
    delegators: [...roles.values()].filter(({ file }) => file?.delegations !== undefined).map(({ name }) => name),
  }
}

/** The same for edits of our own, before they are proposed. */
export async function changesOfEdits(
  standing: Standing,
  repository: string,
  edits: readonly Edit[],
): Promise<readonly FileChanges[]> {
  const { codec } = standing
  const roles = new Map((await allRoles(standing)).map((role) => [role.name, role.file]))
  return edits.flatMap((edit) => {
    const { role, body } = named(edit, codec, repository)
    if (body.type !== 'targets') return []
    const refuse = (why: string): never => {
      throw new Error(why)
    }
    const payload = codec.encode(body)
    return [changesOf({ role, published: roles.get(role), next: body, payload, repository, codec, refuse })]
  })
}

export function isComplete({ files }: Pick<Reviewed, 'files'>): boolean {
  return files.every((file) => missingSigners(file) === 0)
}

/** Of each file that is not complete, who may sign next. Many files of the same keys are one. */
export function waitingFor({ files }: Pick<Reviewed, 'files'>): readonly Waiting[] {
  const waiting = new Map<string, Waiting>()
  for (const file of files.filter((each) => missingSigners(each) > 0)) {
    const { authority, signers, role } = file
    const signed = new Set<string>(signers.values())
    const missing = idsHere(authority, (id) => !signed.has(id))
    const key = JSON.stringify([authority.role.threshold, signers.size, missing])
    if (!waiting.has(key)) waiting.set(key, { role, need: authority.role.threshold, have: signers.size, missing })
  }
  return [...waiting.values()]
}
