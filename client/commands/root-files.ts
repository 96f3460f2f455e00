/** Proposals as files: read and merged, or written whole. */
import { realpath } from 'node:fs/promises'
import { mergeProposals } from '../ceremony/merge.ts'
import { openProposal } from '../ceremony/open.ts'
import type { Opened } from '../ceremony/opened.ts'
import { encodeProposal, MAX_PROPOSAL } from '../ceremony/proposal.ts'
import { readUserFile, whyUnwritten } from '../files.ts'
import { errnoOf, writeAtomically } from '../trust/atomic.ts'
import { CommandError, usage } from './errors.ts'

/** Copies of one proposal as one, each checked by itself. Throws CeremonyError. */
export async function readProposals(paths: readonly string[]): Promise<Opened> {
  const opened: Opened[] = []
  for (const path of paths) opened.push(openProposal(await readUserFile(path, MAX_PROPOSAL), path))
  const [first, ...others] = opened
  if (first === undefined) throw usage('no proposal is given', 'tagseal root sign FILE')
  return mergeProposals([first, ...others])
}

/** Whole or not at all, in place of what was there; a link stays one. */
export async function writeProposal(path: string, { proposal }: Opened): Promise<void> {
  try {
    await writeAtomically(await behindLinks(path), encodeProposal(proposal), 0o644)
  } catch (cause) {
    if (errnoOf(cause) === undefined) throw cause
    throw new CommandError('IO', { what: path, why: whyUnwritten(cause) }, { cause })
  }
}

async function behindLinks(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return path
    throw error
  }
}
