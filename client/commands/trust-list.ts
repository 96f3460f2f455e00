import { loadPins } from '../trust/pins.ts'
import { defineCommand } from './declare.ts'
import { pinDocument, pinText } from './pin-text.ts'

export const trustListCommand = defineCommand({
  operands: {},
  options: {},
  examples: ['tagseal trust list'],
  async run(context) {
    const rules = await loadPins(context.paths.trust)
    if (rules.length === 0) context.terminal.note(`no pins in ${context.paths.trust}: every image is refused`)
    return { lines: rules.map(pinText), document: { pins: rules.map(pinDocument) } }
  },
})
