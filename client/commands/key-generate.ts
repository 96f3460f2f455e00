import type { Algorithm } from '../../keys/signer.ts'
import { defineCommand, flag, text } from './declare.ts'
import { usage } from './errors.ts'
import { keyDocument } from './key-document.ts'

const ALGORITHMS = ['ed25519', 'ecdsa-p256', 'ecdsa-p384', 'rsa-pss'] as const satisfies readonly Algorithm[]

export const keyGenerateCommand = defineCommand({
  operands: {},
  options: {
    algorithm: text('NAME', `one of ${ALGORITHMS.join(', ')}; ed25519 where none is named`),
    name: text('NAME', 'a note to find it by'),
    'no-passphrase': flag('keep it readable to whoever reads the file'),
  },
  examples: ['tagseal key generate --name "release pipeline"'],
  async run(context, input) {
    const name = input.text('name')
    const keystore = await context.keystore()
    const key = await keystore.generate({
      algorithm: algorithmOf(input.text('algorithm')),
      ...(name === undefined ? {} : { name }),
      encrypted: !input.flag('no-passphrase'),
    })
    return { lines: [key.id], document: { key: keyDocument(key) } }
  },
})

function algorithmOf(text = 'ed25519'): Algorithm {
  const algorithm = ALGORITHMS.find((known) => known === text)
  if (algorithm === undefined) throw usage(`there is no algorithm ${text}`, `one of ${ALGORITHMS.join(', ')}`)
  return algorithm
}
