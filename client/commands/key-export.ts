import { newPassphrase } from './new-passphrase.ts'
import { defineCommand, flag, one, text } from './declare.ts'
import { usage } from './errors.ts'
import { exportShares, splittingOf } from './key-shares.ts'

export const keyExportCommand = defineCommand({
  operands: { KEY: one('key id, the beginning of one, or a name') },
  options: {
    private: flag('the private key, under a passphrase of its own'),
    'new-passphrase-file': text('FILE', 'holds the passphrase for the exported private key'),
    'no-passphrase': flag('with --private: readable to whoever gets the output'),
    split: text('M/N', 'the private key in N shares, one file each, of which any M bring it back'),
    out: text('DIR', 'with --split: where the shares go; a new folder beside you where none is named'),
  },
  examples: [
    'tagseal key export 4f0a9c1e > release.pub.pem',
    'tagseal key export "root of team/app" --private > backup.pem',
    'tagseal key export "root of team/app" --split 3/5',
  ],
  notes:
    'A share is text, to be kept as a file or on paper. Shares are under no passphrase: whoever holds M of them has the ' +
    'key, and nobody else learns anything from fewer. tagseal key import SHARE SHARE SHARE brings the key back.',
  async run(context, input) {
    const wanted = input.one('KEY')
    const keystore = await context.keystore()
    const isPrivate = input.flag('private')
    const [split, out] = [input.text('split'), input.text('out')]
    if (split === undefined && out !== undefined) throw usage('--out is for shares', 'add --split 3/5')
    if (split !== undefined) {
      if (isPrivate || input.flag('no-passphrase') || input.text('new-passphrase-file') !== undefined) {
        throw usage('shares are under no passphrase', 'leave the other options away')
      }
      return await exportShares(context, wanted, splittingOf(split), out)
    }
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
