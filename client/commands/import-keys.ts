import { isKeyError } from '../../keys/errors.ts'
import type { KeyCode } from '../../keys/errors.ts'
import { isKeyName } from '../../keys/keystore/key-file.ts'
import type { KeyInfo } from '../../keys/keystore/keystore.ts'
import type { PassphraseSource } from '../../keys/keystore/passphrase.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import type { Failure } from '../exit.ts'
import { tellFailure } from '../failure-text.ts'
import { keyNameFor } from '../publish/found.ts'
import { shortId } from './key-document.ts'
import type { FoundKey, FoundKeys } from './private-files.ts'

export type ImportWishes = {
  /** undefined: what Notary wrote beside a key names it. */
  readonly name: string | undefined
  readonly encrypted: boolean
  readonly passphrase: PassphraseSource
}

export type KeyFailure = { readonly file: string; readonly key: string; readonly failure: Failure }

/** `there` were in the keystore before. */
export type ImportedKeys = {
  readonly imported: readonly KeyInfo[]
  readonly there: readonly KeyInfo[]
  readonly failed: readonly KeyFailure[]
}

/** What is wrong with one key, and says nothing of the next one. */
const OF_ONE_KEY: ReadonlySet<KeyCode> = new Set([
  'KEY_MALFORMED',
  'KEY_WEAK',
  'PASSPHRASE_WRONG',
  'PASSPHRASE_MISSING',
])

/** Takes every key in that can be opened, in turn. Those that cannot are told, and keep no other one out. */
export async function importKeys(
  context: Context,
  { keys, bad }: FoundKeys,
  wishes: ImportWishes,
): Promise<ImportedKeys> {
  const [imported, there]: [KeyInfo[], KeyInfo[]] = [[], []]
  const failed = bad.map(({ file, error }) => tell(context, file, 'no key', error))
  for (const found of keys) {
    try {
      imported.push(await importKey(context, found, wishes))
    } catch (error) {
      if (!isKeyError(error)) throw error
      if (error.code === 'KEY_EXISTS') there.push(await findAgain(context, error.detail.id))
      else if (OF_ONE_KEY.has(error.code)) failed.push(tell(context, found.file, found.key.label, error))
      else throw error
    }
  }
  return { imported, there, failed }
}

/** Throws KEY_EXISTS, and whatever is wrong with the key or its passphrase. */
export async function importKey(context: Context, found: FoundKey, wishes: ImportWishes): Promise<KeyInfo> {
  const keystore = await context.keystore()
  const { passphrase, encrypted } = wishes
  const stays = ({ id }: KeyInfo) => sayStays(context, id)
  return await keystore.import({ pem: found.key, ...nameOf(found, wishes), encrypted, passphrase, stays })
}

/** Whoever signs with the other keys here would not open this one. */
function sayStays({ terminal, settings, env }: Context, id: string): void {
  if ((settings.passphraseFile ?? (env['TAGSEAL_PASSPHRASE_FILE'] || undefined)) !== undefined) return
  terminal.note(`${shortId(id)} stays under the passphrase that it had; --passphrase-file FILE puts it under another`)
}

async function findAgain({ keystore, terminal }: Context, id: string): Promise<KeyInfo> {
  terminal.note(`key ${shortId(id)} is here already`)
  return await (await keystore()).find(id)
}

function tell({ terminal }: Context, file: string, key: string, error: Error): KeyFailure {
  const failure = failureOf(error)
  tellFailure(terminal, failure, `${file}: `)
  return { file, key, failure }
}

/** `targets registry.example.com/team/app`: as `init` names its own, so that they are found the same way. */
function nameOf({ key }: FoundKey, { name }: ImportWishes): { name?: string } {
  if (name !== undefined) return { name }
  if (key.name !== undefined) return { name: key.name }
  const { role, gun } = key
  const own = role === undefined || gun === undefined ? role : keyNameFor(role, gun)
  return own === undefined || !isKeyName(own) ? {} : { name: own }
}
