import { defineCommand, flag, one } from './declare.ts'
import { usage } from './errors.ts'
import { keyDocument, shortId } from './key-document.ts'

export const keyRemoveCommand = defineCommand({
  operands: { KEY: one('key id, the beginning of one, or a name') },
  options: { yes: flag('really: a deleted key that is not backed up is gone') },
  examples: ['tagseal key remove 4f0a9c1e --yes'],
  async run(context, input) {
    const keystore = await context.keystore()
    const key = await keystore.find(input.one('KEY'))
    if (!input.flag('yes')) {
      throw usage(
        `key ${shortId(key.id)} would be gone for good`,
        `back it up (tagseal key export ${shortId(key.id)} --private), then add --yes`,
      )
    }
    await keystore.remove(key.id)
    return { lines: [`removed key ${key.id}`], document: { removed: keyDocument(key) } }
  },
})
