import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureFolder } from '../../keys/folder.ts'
import type { NotaryFile } from '../../keys/keystore/keystore.ts'
import type { Context } from '../context.ts'
import { defineCommand, list, text } from './declare.ts'
import { usage } from './errors.ts'
import { inFile, refuseExisting, writeNew } from './new-files.ts'

export const exportNotaryKeysCommand = defineCommand({
  operands: {},
  options: {
    key: list('ID', 'only this key; may be repeated. All keys of this machine where none is named'),
    out: text('FILE|DIR', 'a new file for notary key import, or a folder that becomes, or is, a ~/.notary/private'),
    'new-passphrase-file': text(
      'FILE',
      'holds the passphrase for what is written; without it a key stays under its own',
    ),
  },
  examples: [
    'tagseal export notary-keys --out ~/.docker/trust/private/',
    'tagseal export notary-keys --key 4f0a9c1e --out release.pem',
  ],
  notes:
    'A FILE is taken in by notary key import; a DIR holds one file for each key, as notary and docker keep them. ' +
    'Nothing is overwritten. Certificates of root keys are not written: each is in the root of its repository.',
  async run(context, input) {
    const out = input.text('out')
    if (out === undefined) throw usage('it is not said where the keys go', 'give --out FILE, or --out DIR/')
    const files = await exportKeys(context, input.list('key'), input.text('new-passphrase-file'))
    const written = (await isFolder(out)) ? await writeFolder(out, files) : await writeFile(out, files)
    context.terminal.note(`${files.length} keys are in ${out}, each under a passphrase`)
    return {
      lines: written,
      document: { files: written, keys: files.map(({ id, note }) => ({ id, ...note })) },
    }
  },
})

/** All of them before anything is written. */
async function exportKeys(
  context: Context,
  named: readonly string[],
  passphraseFile: string | undefined,
): Promise<readonly NotaryFile[]> {
  const keystore = await context.keystore()
  const next = await context.passphrasesFrom(passphraseFile)
  const wanted = named.length > 0 ? named : (await keystore.list()).map(({ id }) => id)
  if (wanted.length === 0) throw usage(`there are no keys in ${context.paths.keys}`)
  const files = new Map<string, NotaryFile>()
  for (const key of wanted) {
    const file = await keystore.exportNotary(key, next)
    files.set(file.id, file)
  }
  return [...files.values()]
}

async function isFolder(path: string): Promise<boolean> {
  if (path.endsWith('/')) return true
  try {
    return (await lstat(path)).isDirectory()
  } catch {
    return false // whatever is wrong with it shows when it is written
  }
}

async function writeFolder(folder: string, files: readonly NotaryFile[]): Promise<readonly string[]> {
  await inFile(folder, async () => ensureFolder(folder))
  const named = files.map(({ id, pem }) => ({ path: join(folder, `${id}.key`), pem }))
  for (const { path } of named) await refuseExisting(path)
  for (const { path, pem } of named) await writeNew(path, pem)
  return named.map(({ path }) => path)
}

/** As `notary key export` writes them: each key says which file it is from. */
async function writeFile(path: string, files: readonly NotaryFile[]): Promise<readonly string[]> {
  await writeNew(path, files.map(({ id, pem }) => withPath(pem, id)).join(''))
  return [path]
}

/** Headers are sorted, and `gun` comes first. */
function withPath(pem: string, id: string): string {
  return pem.replace(/^(?=role: )/m, `path: ${id}\n`)
}
