import type { KeyInfo } from '../../keys/keystore/keystore.ts'
import type { Algorithm } from '../../keys/signer.ts'
import { defineCommand, flag, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'
import { keyDocument } from './key-document.ts'

const ALGORITHMS = ['ed25519', 'ecdsa-p256', 'ecdsa-p384', 'rsa-pss'] as const satisfies readonly Algorithm[]

export const keyGenerateCommand = defineCommand({
  operands: {},
  options: {
    algorithm: text('NAME', `one of ${ALGORITHMS.join(', ')}; ed25519 where none is named`),
    name: text('NAME', 'a note to find it by'),
    pkcs11: text('URI', 'make it on a token, which it never leaves: pkcs11:token=T;object=O?module-path=/M.so'),
    'no-passphrase': flag('keep it readable to whoever reads the file'),
  },
  examples: [
    'tagseal key generate --name "release pipeline"',
    'tagseal key generate --pkcs11 "pkcs11:token=release;object=root?module-path=/usr/lib/libykcs11.so" --algorithm ecdsa-p256',
  ],
  async run(context, input) {
    const name = input.text('name')
    const keystore = await context.keystore()
    const [algorithm, uri] = [algorithmOf(input.text('algorithm')), input.text('pkcs11')]
    if (uri !== undefined && (!uri.startsWith('pkcs11:') || input.flag('no-passphrase'))) {
      throw usage('a key on a token is named by a PKCS#11 URI and has a PIN', '--pkcs11 "pkcs11:token=T;object=O"')
    }
    if (uri !== undefined) return answerFor(await keystore.generateAt(uri, algorithm, name))
    const key = await keystore.generate({
      algorithm,
      ...(name === undefined ? {} : { name }),
      encrypted: !input.flag('no-passphrase'),
    })
    return answerFor(key)
  },
})

function answerFor(key: KeyInfo): Answer {
  return { lines: [key.id], document: { key: keyDocument(key) } }
}

function algorithmOf(text = 'ed25519'): Algorithm {
  const algorithm = ALGORITHMS.find((known) => known === text)
  if (algorithm === undefined) throw usage(`there is no algorithm ${text}`, `one of ${ALGORITHMS.join(', ')}`)
  return algorithm
}
