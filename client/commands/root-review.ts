import { isCeremonyError } from '../ceremony/errors.ts'
import type { Opened } from '../ceremony/opened.ts'
import { choresFor } from '../ceremony/sign.ts'
import type { Chore } from '../ceremony/sign.ts'
import { callOf } from '../ceremony/signatures.ts'
import type { Context } from '../context.ts'
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
    const chores = await choresHere(context, opened)
    const own = chores.filter(({ done }) => !done).map(({ key }) => callOf(opened, key.id))
    const asked = own.length === 0 ? [] : [`this machine: asked to sign with ${[...new Set(own)].join(', ')}`]
    return {
      lines: [...lines, ...asked],
      document: { ...document, own: [...new Set(chores.map(({ key }) => key.id))] },
    }
  },
})

/** None where no key here has a say: whoever reviews need not be a holder. */
async function choresHere(context: Context, opened: Opened): Promise<readonly Chore[]> {
  try {
    return await choresFor(opened, await context.keystore(), [])
  } catch (error) {
    if (isCeremonyError(error) && error.code === 'NO_KEY_FITS') return []
    throw error
  }
}
