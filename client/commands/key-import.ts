import { readUserFile } from '../files.ts'
import { defineCommand, flag, one, text } from './declare.ts'
import { keyDocument } from './key-document.ts'

const MAX_PEM = 64 * 1024

export const keyImportCommand = defineCommand({
  operands: { FILE: one('PEM: PKCS#8 (encrypted or not), SEC1 or PKCS#1') },
  options: {
    name: text('NAME', 'a note to find it by'),
    'old-passphrase-file': text('FILE', 'holds the passphrase that FILE is under now, if it is another one'),
    'no-passphrase': flag('keep it readable to whoever reads the file'),
  },
  examples: ['tagseal key import root.pem --name "root of team/app"'],
  notes: 'The file is left as it is: delete it once the key is in, or keep it as the backup.',
  async run(context, input) {
    const pem = Buffer.from(await readUserFile(input.one('FILE'), MAX_PEM))
    const name = input.text('name')
    const old = input.text('old-passphrase-file')
    const keystore = await context.keystore()
    try {
      const key = await keystore.import({
        pem: pem.toString('latin1'),
        ...(name === undefined ? {} : { name }),
        ...(old === undefined ? {} : { passphrase: await context.passphrasesFrom(old) }),
        encrypted: !input.flag('no-passphrase'),
      })
      return { lines: [key.id], document: { key: keyDocument(key) } }
    } finally {
      pem.fill(0)
    }
  },
})
