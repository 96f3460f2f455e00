import { isKeyError } from '../../keys/errors.ts'
import type { PassphraseSource } from '../../keys/keystore/passphrase.ts'
import type { Context } from '../context.ts'
import { usage } from './errors.ts'

/** Where the passphrase for a key comes from that has another one now: a file, or the terminal. */
export async function newPassphrase(
  context: Context,
  without: boolean,
  file: string | undefined,
): Promise<PassphraseSource | 'none'> {
  if (without && file !== undefined) throw usage('--no-passphrase and --new-passphrase-file exclude each other')
  if (without) return 'none'
  const source = await context.passphrasesFrom(file)
  return file === undefined ? orNamed(source) : source
}

/** The passphrase that the key is under now is no answer, so nobody is sent to give that one. */
function orNamed(source: PassphraseSource): PassphraseSource {
  return {
    ...source,
    async choose(key, before) {
      try {
        return await source.choose(key, before)
      } catch (error) {
        if (!isKeyError(error) || error.code !== 'PASSPHRASE_MISSING') throw error
        throw usage(
          `${key} needs a passphrase of its own and there is no terminal to ask on`,
          'give --new-passphrase-file FILE, or --no-passphrase',
        )
      }
    },
  }
}
