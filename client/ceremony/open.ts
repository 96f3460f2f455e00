/**
 * A proposal, checked against itself: everything that can be said of it with no network and no clock. What people are
 * shown, asked for and publish comes from here, and so from the metadata, never from the words in the file.
 */
import { hash } from '../../keys/digest.ts'
import { nativeSuite } from '../../keys/native/suite.ts'
import { acceptRoot, codecOf, DEFAULT_LIMITS, instant, isTrustError, ROOT } from '../../tuf/index.ts'
import type { Codec, Judge, WalkingRoot } from '../../tuf/index.ts'
import { openAnyRoot } from '../trust/anchor.ts'
import { acceptCompanions } from './companions.ts'
import { CeremonyError } from './errors.ts'
import { acceptNextRoot } from './next-root.ts'
import { partsOf, payloadOf } from './opened.ts'
import type { Opened, Question } from './opened.ts'
import { decodeProposal } from './proposal.ts'
import type { Proposal } from './proposal.ts'
import { demandsOnRoot, refuseForeign } from './signatures.ts'
import { wordsOf } from './words.ts'

/** Throws CeremonyError for whatever somebody could have written into the file. */
export function openProposal(bytes: Uint8Array, file: string): Opened {
  const opened = checkProposal(decodeProposal(bytes, file), file)
  refuseOtherWords(opened)
  return opened
}

/** The same for one that is being made: whatever words it has, those that it should have are `wordsOf`. */
export function checkProposal(proposal: Proposal, file: string): Opened {
  try {
    const opened = checked(proposal, file)
    refuseForeign(opened)
    return opened
  } catch (error) {
    if (!isTrustError(error)) throw error
    throw new CeremonyError('PROPOSAL_UNSOUND', { file, why: error.message }, { cause: error })
  }
}

function checked(proposal: Proposal, file: string): Opened {
  const next = proposal.next.get(ROOT) ?? new Uint8Array()
  const judge = judgeOf(codecOf(proposal.roots[0] ?? next, DEFAULT_LIMITS), proposal.repository)
  const chain = chainOf(judge, proposal.roots)
  const unsound = (why: string) => new CeremonyError('PROPOSAL_UNSOUND', { file, why })
  const question: Question = { judge, chain, proposal, file, unsound }
  const signed = acceptNextRoot(question, next)
  const root = { role: ROOT, signed, demands: demandsOnRoot(judge, chain, signed.body) }
  const accepted = { file, proposal, judge, chain, root, ...acceptCompanions(question, signed.body) }
  return { ...accepted, fingerprint: fingerprintOf(accepted) }
}

/** Expiry is looked at where something is published: a root may be followed that has expired. */
function judgeOf(codec: Codec, repository: string): Judge {
  const limits = { ...DEFAULT_LIMITS, ...codec.limits }
  return { codec, suite: nativeSuite, limits, now: instant(0), repository }
}

function chainOf(judge: Judge, roots: readonly Uint8Array[]): readonly WalkingRoot[] {
  const chain: WalkingRoot[] = []
  for (const bytes of roots) {
    const before = chain.at(-1)
    chain.push(before === undefined ? openAnyRoot(judge, bytes) : acceptRoot(before, bytes))
  }
  return chain
}

/** Over what is signed, and not over the signatures: it stays the same while these come together. */
function fingerprintOf(opened: Omit<Opened, 'fingerprint'>): string {
  const sha256 = (payload: Uint8Array) => hash('sha256', payload)
  const followed = opened.chain.at(-1)
  const parts = partsOf(opened).map(({ role, signed }) => `${encodeURIComponent(role)} ${sha256(signed.payload)}`)
  const from = followed === undefined ? 'nothing' : sha256(payloadOf(followed))
  return sha256(Buffer.from([opened.proposal.repository, from, ...parts.toSorted()].join('\n')))
}

function refuseOtherWords(opened: Opened): void {
  const [told, meant] = [opened.proposal.words, wordsOf(opened)]
  const lines = Array.from({ length: Math.max(told.length, meant.length) }, (_, i) => [told[i], meant[i]] as const)
  const other = lines.find(([a, b]) => a !== b)
  if (other === undefined) return
  const [a = '', b = ''] = other
  throw new CeremonyError('WORDS_DIFFER', { file: opened.file, told: a.slice(0, 200), meant: b.slice(0, 200) })
}
