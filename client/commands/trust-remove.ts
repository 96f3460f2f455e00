import { parseRepo } from '../registry/reference.ts'
import { removePin } from '../trust/pins.ts'
import { defineCommand, one } from './declare.ts'
import { usage } from './errors.ts'

export const trustRemoveCommand = defineCommand({
  operands: { PATTERN: one('the pattern of the pin, as "tagseal trust list" shows it') },
  options: {},
  examples: ['tagseal trust remove "registry.example.com/team/*"'],
  notes: 'What this machine has seen of the repositories is kept, so that nobody can lead it back to older metadata.',
  async run(context, input) {
    const given = input.one('PATTERN')
    const pattern = given.includes('*') ? given : parseRepo(given).name
    const removed = await removePin(context.paths.trust, pattern)
    if (!removed) throw usage(`there is no pin for ${pattern}`, 'tagseal trust list')
    return { lines: [`removed the pin for ${pattern}`], document: { removed: pattern } }
  },
})
