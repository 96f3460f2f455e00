import { defineCommand } from './declare.ts'
import { keyDocument } from './key-document.ts'
import { tableOf } from './table-text.ts'

export const keyListCommand = defineCommand({
  operands: {},
  options: {},
  examples: ['tagseal key list'],
  async run(context) {
    const keys = await (await context.keystore()).list()
    if (keys.length === 0) context.terminal.note(`no keys in ${context.paths.keys}`)
    const rows = keys.map(({ id, algorithm, encrypted, createdAt, name }) => [
      id,
      algorithm,
      encrypted ? 'passphrase' : 'no passphrase',
      new Date(createdAt).toISOString().slice(0, 10),
      name ?? '',
    ])
    return { lines: tableOf(rows), document: { keys: keys.map(keyDocument) } }
  },
})
