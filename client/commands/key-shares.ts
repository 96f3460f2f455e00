/** Private keys in shares: written by `key export --split`, and read again by `key import`. */
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ensureFolder } from '../../keys/folder.ts'
import { isShareText, readShare } from '../../keys/escrow/share-text.ts'
import type { GivenShare } from '../../keys/escrow/split.ts'
import type { Splitting } from '../../keys/keystore/keystore.ts'
import type { Context } from '../context.ts'
import { readUserFile } from '../files.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'
import { shortId } from './key-document.ts'
import { inFile, refuseExisting, writeNew } from './new-files.ts'

const MAX_SHARE = 64 * 1024

/** `3/5`: any three of five. */
export function splittingOf(text: string): Splitting {
  const [, first = '', second = ''] = /^([1-9]\d{0,2})\/([1-9]\d{0,2})$/.exec(text) ?? []
  const [threshold, shares] = [Number(first), Number(second)]
  if (threshold >= 2 && threshold <= shares && shares <= 255) return { threshold, shares }
  throw usage(
    `--split ${text} says not how many shares of how many bring the key back`,
    'for three of five: --split 3/5; at least 2, and at most 255',
  )
}

/** Writes one file for each share, all of them or none. The answer names the files and shows nothing of what is in them. */
export async function exportShares(
  context: Context,
  wanted: string,
  splitting: Splitting,
  out: string | undefined,
): Promise<Answer> {
  const keystore = await context.keystore()
  const { id } = await keystore.find(wanted)
  const { threshold, shares } = splitting
  const folder = out ?? `shares-of-${shortId(id)}`
  const paths = Array.from({ length: shares }, (_, i) => join(folder, `${shortId(id)}-share-${i + 1}-of-${shares}.txt`))
  for (const path of paths) await refuseExisting(path)
  const texts = await keystore.exportShares(id, splitting)
  await inFile(folder, async () => ensureFolder(folder))
  await writeAll(paths, texts)
  context.terminal.note(
    `any ${threshold} of these are the private key: give each to another holder, and delete it here`,
  )
  return { lines: paths, document: { id, threshold, shares: paths.map((file, i) => ({ number: i + 1, file })) } }
}

async function writeAll(paths: readonly string[], texts: readonly string[]): Promise<void> {
  const written: string[] = []
  try {
    for (const [i, path] of paths.entries()) {
      await writeNew(path, texts[i] ?? '', 0o400)
      written.push(path)
    }
  } catch (error) {
    for (const path of written) await unlink(path)
    throw error
  }
}

/** The shares among files, where they are shares; undefined where none is. Some of each are a mistake. */
export async function sharesIn(files: readonly string[]): Promise<readonly GivenShare[] | undefined> {
  const shares: GivenShare[] = []
  for (const file of files) {
    const text = await shareText(file)
    if (text !== undefined) shares.push({ file, share: readShare(text, file) })
  }
  if (shares.length === 0) return undefined
  if (shares.length === files.length) return shares
  throw usage(
    'some of these files are shares of a key and others are not',
    'import the shares of one key by themselves',
  )
}

/** undefined for whatever is no share: the import of other files says what is wrong with those. */
async function shareText(file: string): Promise<string | undefined> {
  const bytes = await readUserFile(file, MAX_SHARE).catch(() => undefined)
  const text = bytes && Buffer.from(bytes).toString('latin1')
  bytes?.fill(0)
  return text !== undefined && isShareText(text) ? text : undefined
}
