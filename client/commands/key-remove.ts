import { defineCommand, flag, one } from './declare.ts'
import { usage } from './errors.ts'
import { keyDocument, shortId } from './key-document.ts'

export const keyRemoveCommand = defineCommand({
  operands: { KEY: one('key id, the beginning of one, or a name') },
  options: { yes: flag('really: a deleted key that is not backed up is gone; one that is kept elsewhere stays there') },
  examples: ['tagseal key remove 4f0a9c1e --yes'],
  async run(context, input) {
    const keystore = await context.keystore()
    const key = await keystore.findKept(input.one('KEY'))
    if (!input.flag('yes')) {
      throw key.signer === undefined
        ? usage(
            `key ${shortId(key.id)} would be gone for good`,
            `back it up (tagseal key export ${shortId(key.id)} --private), then add --yes`,
          )
        : usage(
            `this machine would forget that key ${shortId(key.id)} is in ${key.signer}`,
            `the key stays there, and "tagseal key import" finds it again: add --yes`,
          )
    }
    await keystore.remove(input.one('KEY'))
    const done =
      key.signer === undefined ? `removed key ${key.id}` : `forgot key ${key.id}, which stays in ${key.signer}`
    return { lines: [done], document: { removed: keyDocument(key) } }
  },
})
