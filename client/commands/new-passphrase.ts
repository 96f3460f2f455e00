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
  return without ? 'none' : await context.passphrasesFrom(file)
}
