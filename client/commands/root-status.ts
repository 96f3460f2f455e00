import { isMet, tallyOf } from '../ceremony/signatures.ts'
import { defineCommand, many } from './declare.ts'
import { readProposals } from './root-files.ts'
import { signaturesDocument, tallyLine } from './root-report.ts'

export const rootStatusCommand = defineCommand({
  operands: { FILE: many('the proposal; several copies of it are merged') },
  options: {},
  examples: ['tagseal root status app.root-2.json', 'tagseal root status from-alice.json from-bob.json'],
  notes: 'Asks nobody: it says who signed the copies that are named, and whose signatures are missing.',
  async run({ terminal }, input) {
    const opened = await readProposals(input.many('FILE'))
    const { repository } = opened.proposal
    const tallies = tallyOf(opened)
    const isComplete = tallies.every(isMet)
    if (isComplete) terminal.note('nobody is missing: tagseal root publish FILE')
    const { version } = opened.root.signed.body
    return {
      lines: [
        `root ${version} of ${repository}, proposal ${opened.fingerprint}`,
        ...tallies.map((tally) => tallyLine(opened, tally)),
      ],
      document: { repository, version, proposal: opened.fingerprint, ...signaturesDocument(opened) },
    }
  },
})
