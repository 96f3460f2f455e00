import { newPassphrase } from './new-passphrase.ts'
import { defineCommand, flag, one, text } from './declare.ts'
import { keyDocument } from './key-document.ts'

export const keyPasswdCommand = defineCommand({
  operands: { KEY: one('key id, the beginning of one, or a name') },
  options: {
    'new-passphrase-file': text('FILE', 'holds the new passphrase; without it the terminal asks'),
    'no-passphrase': flag('keep the key readable to whoever reads the file'),
  },
  examples: ['tagseal key passwd 4f0a9c1e'],
  async run(context, input) {
    const next = await newPassphrase(context, input.flag('no-passphrase'), input.text('new-passphrase-file'))
    const key = await (await context.keystore()).passwd(input.one('KEY'), next)
    const now = key.encrypted ? 'under the new passphrase' : 'without a passphrase'
    return { lines: [`key ${key.id} is ${now}`], document: { key: keyDocument(key) } }
  },
})
