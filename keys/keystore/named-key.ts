import { KeyError } from '../errors.ts'
import type { Secret } from '../native/secret.ts'
import { readNamedSecret } from './disk.ts'
import { readForeignKey } from './foreign.ts'
import type { PassphraseSource } from './passphrase.ts'

const MAX_KEY = 32 * 1024

/**
 * The only private key in a file that somebody named, as OpenSSL or `tagseal key generate` write it. Whoever asks closes
 * it. Throws KEY_NOT_FOUND, KEY_PERMISSIONS where others could have read it, KEY_MALFORMED and KEY_WEAK.
 */
export async function openNamedKey(path: string, passphrase: PassphraseSource): Promise<Secret> {
  const bytes = await readNamedSecret(path, MAX_KEY)
  if (bytes === undefined) throw new KeyError('KEY_NOT_FOUND', { wanted: path, where: 'this machine' })
  try {
    return await readForeignKey(Buffer.from(bytes).toString('latin1')).open(passphrase)
  } finally {
    bytes.fill(0)
  }
}
