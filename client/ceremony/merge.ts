/** Signatures of several copies of one proposal, in one. */
import { compareCodePoints } from '../../tuf/index.ts'
import type { RoleName, Signature } from '../../tuf/index.ts'
import { CeremonyError } from './errors.ts'
import { checkProposal } from './open.ts'
import { partsOf } from './opened.ts'
import type { Opened } from './opened.ts'

/** In whatever order they come. Throws PROPOSALS_DIFFER; each of them was checked by itself already. */
export function mergeProposals([first, ...others]: readonly [Opened, ...Opened[]]): Opened {
  return others.reduce((merged, other) => {
    refuseOther(merged, other)
    return withSignatures(merged, new Map(partsOf(other).map(({ role, signed }) => [role, signed.signatures])))
  }, first)
}

/** The proposal with these signatures beside those it has. A key that signed twice counts with what it signed first. */
export function withSignatures(opened: Opened, added: ReadonlyMap<RoleName, readonly Signature[]>): Opened {
  const { proposal, judge, file } = opened
  const next = new Map(proposal.next)
  for (const { role, signed } of partsOf(opened)) {
    const all = new Map<string, Signature>()
    for (const each of [...signed.signatures, ...(added.get(role) ?? [])]) {
      if (!all.has(each.keyid)) all.set(each.keyid, each)
    }
    // One order, so that copies with the same signatures are the same bytes whoever merged them.
    const inOrder = [...all.values()].toSorted((a, b) => compareCodePoints(a.keyid, b.keyid))
    next.set(role, judge.codec.resign(proposal.next.get(role) ?? new Uint8Array(), inOrder, judge))
  }
  return checkProposal({ ...proposal, next }, file)
}

function refuseOther(first: Opened, other: Opened): void {
  if (first.fingerprint === other.fingerprint) return
  const [told, meant] = [first.proposal.words, other.proposal.words]
  const at = told.findIndex((line, i) => line !== meant[i])
  const files = [first.file, other.file]
  const shown = (words: readonly string[], { fingerprint }: Opened) => words[at] ?? fingerprint
  throw new CeremonyError('PROPOSALS_DIFFER', { files, first: shown(told, first), other: shown(meant, other) })
}
