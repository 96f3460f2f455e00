import { inOrder } from '../../keys/keystore/known-passphrases.ts'
import type { GivenShare } from '../../keys/escrow/split.ts'
import type { PassphraseSource } from '../../keys/keystore/passphrase.ts'
import { isReference } from '../../keys/signers/reference.ts'
import type { Context } from '../context.ts'
import { failureDocument } from '../failure-text.ts'
import { defineCommand, flag, many, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'
import { importKey, importKeys } from './import-keys.ts'
import type { ImportedKeys, ImportWishes } from './import-keys.ts'
import { keyDocument } from './key-document.ts'
import { findPrivateKeys } from './private-files.ts'
import { sharesIn } from './key-shares.ts'
import type { FoundKey, FoundKeys } from './private-files.ts'

export const keyImportCommand = defineCommand({
  operands: {
    FILE: many(
      'PEM: PKCS#8 (encrypted or not), SEC1, PKCS#1, or what notary and docker write; a folder of those; the shares ' +
        'of a key; or where a key is that stays there: ssh:SHA256:..., pkcs11:..., exec:/path/to/program',
    ),
  },
  options: {
    name: text('NAME', 'a note to find it by'),
    'old-passphrase-file': text('FILE', 'holds the passphrases that the keys are under now, one a line'),
    'no-passphrase': flag('keep it readable to whoever reads the file'),
  },
  examples: [
    'tagseal key import root.pem --name "root of team/app"',
    'tagseal key import ~/.docker/trust/private',
    'tagseal key import share-1.txt share-3.txt share-4.txt',
    'tagseal key import ssh:SHA256:Zc0vPbTgxX3yyPXbYV0hXOC1vFmZ1dZ3RrpvS3nYvL8 --name laptop',
  ],
  notes:
    'The files are left as they are: delete them once the keys are in, or keep them as the backup. A key stays under ' +
    'its passphrase, unless --passphrase-file names one for the keys here. NOTARY_ROOT_PASSPHRASE and the other ' +
    'variables that notary and docker take passphrases from are tried too.',
  async run(context, input) {
    if (input.many('FILE').some(isReference)) return await importReference(context, input)
    const shares = await sharesIn(input.many('FILE'))
    const { keys, bad } = shares === undefined ? await findPrivateKeys(input.many('FILE')) : await keyOf(shares)
    const wishes: ImportWishes = {
      name: input.text('name'),
      encrypted: !input.flag('no-passphrase'),
      passphrase: await openerOf(context, input.text('old-passphrase-file')),
    }
    const [key, ...more] = keys
    const [wrong] = bad
    if (key === undefined && wrong !== undefined) throw wrong.error
    if (key !== undefined && more.length === 0 && bad.length === 0) return await importOne(context, key, wishes)
    return severalAnswer(await importKeys(context, { keys, bad }, wishes))
  },
})

type ImportInput = {
  readonly many: (operand: 'FILE') => readonly string[]
  readonly text: (option: 'name') => string | undefined
}

/** Loaded when there are shares. */
async function keyOf([first, ...others]: readonly GivenShare[]): Promise<FoundKeys> {
  const { joinShares } = await import('../../keys/escrow/split.ts')
  return { keys: first === undefined ? [] : [{ file: first.file, key: joinShares([first, ...others]) }], bad: [] }
}

/** Only where the key is comes here: what is said of files and passphrases does not fit. */
async function importReference(context: Context, input: ImportInput): Promise<Answer> {
  const [reference, ...more] = input.many('FILE')
  if (reference === undefined || more.length > 0) throw usage('name one key that stays elsewhere at a time')
  const key = await (await context.keystore()).importReference(reference, input.text('name'))
  context.terminal.note(`the private key stays where it is: ${key.signer}`)
  return { lines: [key.id], document: { key: keyDocument(key) } }
}

/** Old passphrases first: those of this run are for the keys here. */
export async function openerOf(context: Context, old: string | undefined): Promise<PassphraseSource> {
  const own = await context.passphrases()
  return old === undefined ? own : inOrder([await context.passphrasesFrom(old), own])
}

async function importOne(context: Context, found: FoundKey, wishes: ImportWishes): Promise<Answer> {
  const key = await importKey(context, found, wishes)
  return { lines: [key.id], document: { key: keyDocument(key) } }
}

function severalAnswer({ imported, there, failed }: ImportedKeys): Answer {
  const keys = [...imported, ...there]
  return {
    lines: keys.map(({ id }) => id),
    document: {
      keys: imported.map(keyDocument),
      there: there.map(keyDocument),
      failed: failed.map(({ file, key, failure }) => ({ file, key, error: failureDocument(failure) })),
    },
    ...(failed.length > 0 && { exit: 1 }),
  }
}
