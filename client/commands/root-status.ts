import { isCeremonyError } from '../ceremony/errors.ts'
import type { Opened } from '../ceremony/opened.ts'
import { isMet, tallyOf } from '../ceremony/signatures.ts'
import type { Context } from '../context.ts'
import { defineCommand, flag, many } from './declare.ts'
import { readProposals } from './root-files.ts'
import { placeOf, signaturesDocument, tallyLine } from './root-report.ts'

export const rootStatusCommand = defineCommand({
  operands: { FILE: many('the proposal; several copies of it are merged') },
  options: { offline: flag('ask no server whether it is published') },
  examples: ['tagseal root status app.root-2.json', 'tagseal root status from-alice.json from-bob.json'],
  notes:
    'Says who signed the copies that are named, whose signatures are missing, and, where the server can be asked, whether ' +
    'it is published already.',
  async run(context, input) {
    const { terminal } = context
    const opened = await readProposals(input.many('FILE'))
    const { repository } = opened.proposal
    const tallies = tallyOf(opened)
    const published = await isPublished(context, opened, input.flag('offline'))
    const isComplete = tallies.every(isMet)
    if (isComplete && !published) terminal.note('nobody is missing: tagseal root publish FILE')
    const { version } = opened.root.signed.body
    return {
      lines: [
        `root ${version} of ${repository}, proposal ${opened.fingerprint}`,
        ...(published ? ['it is published already: nothing is left to sign'] : []),
        ...tallies.map((tally) => tallyLine(opened, tally)),
      ],
      document: { repository, version, proposal: opened.fingerprint, published, ...signaturesDocument(opened) },
    }
  },
})

/** What else the server knows is said, and keeps nobody from seeing who signed. */
async function isPublished(context: Context, opened: Opened, offline: boolean): Promise<boolean> {
  try {
    return (await placeOf(context, opened, offline))?.kind === 'published'
  } catch (error) {
    if (!isCeremonyError(error)) throw error
    context.terminal.warn(error.message)
    return false
  }
}
