import { newPassphrase } from './new-passphrase.ts'
import { defineCommand, flag, one, text } from './declare.ts'
import { usage } from './errors.ts'

export const keyExportCommand = defineCommand({
  operands: { KEY: one('key id, the beginning of one, or a name') },
  options: {
    private: flag('the private key, under a passphrase of its own'),
    'new-passphrase-file': text('FILE', 'holds the passphrase for the exported private key'),
    'no-passphrase': flag('with --private: readable to whoever gets the output'),
  },
  examples: [
    'tagseal key export 4f0a9c1e > release.pub.pem',
    'tagseal key export "root of team/app" --private > backup.pem',
  ],
  async run(context, input) {
    const wanted = input.one('KEY')
    const keystore = await context.keystore()
    const isPrivate = input.flag('private')
    if (!isPrivate && (input.flag('no-passphrase') || input.text('new-passphrase-file') !== undefined)) {
      throw usage('a public key needs no passphrase', 'add --private to export the private key')
    }
    const pem = isPrivate
      ? await keystore.exportPrivate(
          wanted,
          await newPassphrase(context, input.flag('no-passphrase'), input.text('new-passphrase-file')),
        )
      : await keystore.exportPublic(wanted)
    const { id } = await keystore.find(wanted)
    return { lines: pem.trimEnd().split('\n'), document: { id, private: isPrivate, pem } }
  },
})
