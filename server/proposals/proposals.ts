/** Publishes that wait for the signatures of several people. None of it is in force, or served as metadata. */
import type { RoleName } from '../../tuf/index.ts'
import { Problem } from '../problem.ts'
import type { Judges } from '../publish/publisher.ts'
import type { Upload } from '../publish/upload.ts'
import type { WorkCache } from '../publish/work-cache.ts'
import type {
  NewAuditEntry,
  NewProposal,
  ProposalBounds,
  ProposalRecord,
  ProposedContent,
  ProposedSignature,
  RepositoryState,
  Store,
  StoredProposal,
} from '../storage/store.ts'
import { judgeFiles, refuseUnknownSigners, signaturesOn } from './judge.ts'
import type { Ground } from './judge.ts'

/** Who asks, for the record. */
export type Asker = { readonly by?: string; readonly request: string }
type Named = Asker & { readonly repository: string; readonly id: string }

export type Proposals = {
  /** Keeps the files of an upload, or adds its signatures to the very same ones. Throws Problem. */
  readonly propose: (asked: Asker & { readonly repository: string; readonly upload: Upload }) => Promise<StoredProposal>
  readonly sign: (asked: Named, signatures: readonly ProposedSignature[]) => Promise<StoredProposal>
  readonly list: (repository: string) => Promise<readonly ProposalRecord[]>
  readonly get: (repository: string, id: string) => Promise<StoredProposal>
  /** Somebody else's is withdrawn by an administrator alone. */
  readonly withdraw: (asked: Named, isAdmin: boolean) => Promise<void>
}

export type ProposalsOptions = {
  readonly store: Store
  readonly work: WorkCache
  readonly judge: Judges
  readonly clock: () => number
  /** Milliseconds for which a proposal waits. */
  readonly lifetime: number
  readonly bounds: ProposalBounds
}

export function makeProposals(options: ProposalsOptions): Proposals {
  const { store, clock } = options
  const get = async (repository: string, id: string): Promise<StoredProposal> => {
    const found = await store.proposals.get(repository, id, clock())
    if (found === undefined) throw unknown(id)
    return found
  }
  return {
    get,
    list: async (repository) => await store.proposals.list(repository, clock()),
    async propose({ repository, upload, ...asker }) {
      const ground = await groundOf(options, repository)
      const files = wholeFiles(upload)
      const proposal = await proposalOf(options, ground, files, asker.by)
      const outcome = await store.proposals.add(proposal, options.bounds, audit(clock(), 'propose', proposal, asker))
      if (outcome.kind === 'like') throw new Problem('PROPOSED_ALREADY', { id: outcome.id })
      if (outcome.kind === 'full') throw new Problem('PROPOSALS_FULL', { ...options.bounds })
      return await get(repository, proposal.id)
    },
    async sign({ repository, id, ...asker }, signatures) {
      const pending = await get(repository, id)
      const ground = await groundOf(options, repository)
      const judged = await judgeFiles(ground, withSignatures(ground, pending, signatures))
      refuseUnknownSigners(judged.files, signatures, ground.judge)
      const entry = audit(clock(), 'approve', { repository, id }, asker)
      if (!(await store.proposals.sign(repository, id, signatures, entry))) throw unknown(id)
      return await get(repository, id)
    },
    async withdraw({ repository, id, ...asker }, isAdmin) {
      const { by } = await get(repository, id)
      if (by !== asker.by && !isAdmin) throw new Problem('DENIED', { action: 'admin', repository })
      await store.proposals.withdraw(repository, id, audit(clock(), 'withdraw', { repository, id }, asker))
    },
  }
}

function unknown(id: string): Problem {
  return new Problem('NOT_FOUND', { what: `proposal ${id}` })
}

function audit(
  at: number,
  action: string,
  { repository, id }: { readonly repository: string; readonly id: string },
  { by, request }: Asker,
): NewAuditEntry {
  return {
    at,
    ...(by === undefined ? {} : { actor: by }),
    action,
    subject: repository,
    request,
    detail: { proposal: id },
  }
}

async function groundOf({ store, work, judge }: ProposalsOptions, repository: string): Promise<Ground> {
  const state = await store.metadata.state(repository)
  if (state === undefined) throw new Problem('NOT_FOUND', { what: `repository ${repository}` })
  if (state.dialect === 'notary-v1') {
    throw new Problem('INVALID_REQUEST', { reason: 'a repository of Notary v1 has no role that several people sign' })
  }
  return { state, work, judge: judge(state.dialect, repository) }
}

function wholeFiles(upload: Upload): ReadonlyMap<RoleName, Uint8Array> {
  if (upload.size === 0) throw new Problem('MALFORMED_UPLOAD', { reason: 'it has no files' })
  const files = new Map<RoleName, Uint8Array>()
  for (const [role, { kind, bytes }] of upload) {
    if (kind !== 'file') throw new Problem('MALFORMED_UPLOAD', { reason: `${role} must come whole` })
    files.set(role, bytes)
  }
  return files
}

async function proposalOf(
  { clock, lifetime }: ProposalsOptions,
  ground: Ground,
  files: ReadonlyMap<RoleName, Uint8Array>,
  by: string | undefined,
): Promise<NewProposal> {
  const { judge, state } = ground
  const { id, likeness, files: judged } = await judgeFiles(ground, files)
  const signatures = signaturesOn(judged)
  refuseUnknownSigners(judged, signatures, judge)
  const kept: ProposedContent[] = []
  for (const [role, bytes] of files) {
    const version = judged.get(role)?.signed.body.version
    if (version === undefined) throw new RangeError(`${role} was not judged`)
    const base = await baseOf(ground, state, role)
    kept.push({ role, version, bytes: judge.codec.resign(bytes, [], judge), ...(base === undefined ? {} : { base }) })
  }
  const createdAt = clock()
  const expiresAt = createdAt + lifetime
  const { name: repository } = state
  return {
    repository,
    id,
    likeness,
    createdAt,
    expiresAt,
    files: kept,
    signatures,
    ...(by === undefined ? {} : { by }),
  }
}

async function baseOf({ work }: Ground, state: RepositoryState, role: RoleName): Promise<Uint8Array | undefined> {
  const record = state.files.get(role)
  return record && (await work.load(state.name, record))
}

/** The files with what was signed so far and these signatures. */
function withSignatures(
  { judge }: Ground,
  { files, signatures }: StoredProposal,
  added: readonly ProposedSignature[],
): ReadonlyMap<RoleName, Uint8Array> {
  return new Map(
    files.map(({ role, bytes }) => {
      const own = [...signatures, ...added].filter((each) => each.role === role)
      const each = new Map(own.map(({ keyid, sig }) => [keyid, { keyid, sig, unknown: new Map() }] as const))
      return [role, judge.codec.resign(bytes, [...each.values()], judge)]
    }),
  )
}
