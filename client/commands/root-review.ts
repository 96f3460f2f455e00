import { defineCommand, flag, many } from './declare.ts'
import { readProposals } from './root-files.ts'
import { reportOn } from './root-report.ts'

export const rootReviewCommand = defineCommand({
  operands: { FILE: many('the proposal; several copies of it are merged') },
  options: { offline: flag('ask no server') },
  examples: ['tagseal root review app.root-2.json'],
  notes: [
    'What is printed is read off the metadata that is to be signed; words in the file that say otherwise are refused.',
    'Nothing is signed, and nothing is written. Compare the fingerprint of the proposal with the other holders.',
  ].join('\n'),
  async run(context, input) {
    const opened = await readProposals(input.many('FILE'))
    const { lines, warnings, document } = await reportOn(context, opened, input.flag('offline'))
    for (const warning of warnings) context.terminal.warn(warning)
    return { lines, document }
  },
})
