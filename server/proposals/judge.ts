/** Whether files are the next ones of a publish that some of their signers have signed, by the rules of a publish. */
import {
  ROOT,
  TARGETS,
  isTrustError,
  judgeProposal,
  likenessOf,
  openRoot,
  proposalId,
  signersOf,
  verifyThreshold,
} from '../../tuf/index.ts'
import type { Authority, Judge, ProposalGround, ProposedFile, RoleName, Signed, Targets } from '../../tuf/index.ts'
import { Problem, untrusted } from '../problem.ts'
import { RULES } from '../publish/dialects.ts'
import type { WorkCache } from '../publish/work-cache.ts'
import type { ProposedSignature, RepositoryState } from '../storage/store.ts'

export type Judged = {
  readonly id: string
  readonly likeness: string
  readonly files: ReadonlyMap<RoleName, ProposedFile>
}

export type Ground = { readonly judge: Judge; readonly work: WorkCache; readonly state: RepositoryState }
type Files = ReadonlyMap<RoleName, Uint8Array>

/** Throws Problem: VERSION for what no longer follows, INVALID_ROLE, INVALID_UPDATE. */
export async function judgeFiles(ground: Ground, files: Files): Promise<Judged> {
  const { judge, state } = ground
  const rules = RULES[state.dialect]
  for (const role of files.keys()) {
    refuseTopRole(role)
    rules.refuseRole(role)
  }
  try {
    refuseOutOfTurn(ground, files)
    const judged = judgeProposal(await groundOf(ground, files), files)
    for (const { role, signed, published } of judged.values()) rules.refuseUnwritable(role, published, signed.body)
    const payloads = new Map([...judged].map(([role, { signed }]) => [role, signed.payload] as const))
    const bodies = new Map([...judged].map(([role, { signed }]) => [role, signed.body] as const))
    return {
      id: proposalId(state.name, payloads, judge.suite),
      likeness: likenessOf(state.name, bodies, judge),
      files: judged,
    }
  } catch (error) {
    if (isTrustError(error)) throw untrusted(error)
    throw error
  }
}

/** The others have ceremonies of their own. */
function refuseTopRole(role: RoleName): void {
  if (role !== 'root' && role !== 'snapshot' && role !== 'timestamp') return
  throw new Problem('INVALID_ROLE', { role, reason: 'only targets and delegated roles are proposed' })
}

/** Before the rest: of what comes too late, the keys may have changed as well. */
function refuseOutOfTurn({ judge, state }: Ground, files: Files): void {
  for (const [role, bytes] of files) {
    const { version } = judge.codec.decode('targets', bytes, judge).body
    RULES[state.dialect].refuseOutOfTurn(state, role, version)
  }
}

async function groundOf({ judge, work, state }: Ground, files: Files): Promise<ProposalGround> {
  const stored = new Map<RoleName, Signed<Targets>>()
  for (const record of state.files.values()) {
    const { role, delegates } = record
    if (role !== TARGETS && !delegates && !files.has(role)) continue
    stored.set(role, judge.codec.decode('targets', await work.load(state.name, record), judge))
  }
  const root = state.files.get(ROOT)
  if (root === undefined) throw new RangeError(`${state.name} has no root`)
  const { codec, suite, limits, now } = judge
  return {
    codec,
    suite,
    limits,
    now,
    root: openRoot(judge, await work.load(state.name, root)).root,
    delegators: [...state.files.values()].filter(({ delegates }) => delegates).map(({ role }) => role),
    published: (authority) => vouchedFor(authority, stored.get(authority.name), judge),
  }
}

/** A stored file whose keys were replaced says nothing any more. */
function vouchedFor(authority: Authority, signed: Signed<Targets> | undefined, { suite }: Judge): Targets | undefined {
  if (signed === undefined || signersOf(authority, signed, suite).size < authority.role.threshold) return undefined
  return verifyThreshold(authority, signed, suite)
}

/** Throws UNKNOWN_SIGNER for a signature on a file that is not there, not by a key of its role, or that does not hold. */
export function refuseUnknownSigners(
  files: Judged['files'],
  signatures: readonly ProposedSignature[],
  { suite }: Judge,
): void {
  for (const { role, keyid, sig } of signatures) {
    const file = files.get(role)
    const alone = file && { ...file.signed, signatures: [{ keyid, sig, unknown: new Map() }] }
    if (file !== undefined && alone !== undefined && signersOf(file.authority, alone, suite).size === 1) continue
    throw new Problem('UNKNOWN_SIGNER', { role, keyid: keyid.slice(0, 80) })
  }
}

/** Those that came with the files. */
export function signaturesOn(files: Judged['files']): readonly ProposedSignature[] {
  return [...files.values()].flatMap(({ role, signed }) =>
    signed.signatures.map(({ keyid, sig }) => ({ role, keyid, sig })),
  )
}
