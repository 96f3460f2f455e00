import { join } from 'node:path'
import { fromBase64, toBase64 } from '../bytes.ts'
import { isKeyError, KeyError } from '../errors.ts'
import type { KeyCode } from '../errors.ts'
import { namesIn, readPrivateFile, removeFile, usePrivateFolder, writeNewFile } from '../keystore/disk.ts'
import { sortedOut } from '../keystore/file.ts'
import { keyInfo } from '../keystore/key-file.ts'
import type { KeyInfo, Survey } from '../keystore/keystore.ts'
import { publicMaterial } from '../schemes/table.ts'
import { kindOf } from './reference.ts'

/**
 * A folder of files that say where private keys are, one for each key, named by key id: beside the key files, which know
 * nothing of them. A reference holds no secret, and whoever can write one chooses what is run or asked to sign, so it
 * is kept as strictly as a key.
 */
export type StoredReferences = {
  /** Each of them checked. */
  readonly list: () => Promise<readonly ReferencedKey[]>
  /** Beside what is wrong with those that cannot be used. */
  readonly survey: () => Promise<Survey>
  /** Without those that are damaged: one of them keeps nobody from using the others. */
  readonly usable: () => Promise<readonly ReferencedKey[]>
  /** Atomic and durable; never replaces another. Throws KEY_EXISTS. */
  readonly store: (key: ReferencedKey) => Promise<void>
  readonly remove: (id: string) => Promise<void>
}

/** A key whose private half is elsewhere. */
export type ReferencedKey = KeyInfo & { readonly signer: string }

const SUFFIX = '.ref'
const FILE_NAME = /^[0-9a-f]{64}\.ref$/
const DAMAGED: ReadonlySet<KeyCode> = new Set(['KEY_MALFORMED', 'KEY_WEAK', 'SIGNER_MALFORMED'])
const FIRST_LINE = 'tagseal key reference, format 1'

export function openReferences(dir: string): StoredReferences {
  return {
    list: () => readAll(readOne),
    async survey() {
      const { good, bad } = await sortedOut(await names(), readOne)
      return { keys: good, bad }
    },
    usable: () => readAll((name) => readOne(name).catch(nothingIfDamaged)),
    async store(key) {
      await usePrivateFolder(dir)
      const name = key.id + SUFFIX
      const stored = await writeNewFile(dir, name, Buffer.from(writeReference(key)))
      if (!stored) throw new KeyError('KEY_EXISTS', { id: key.id, path: join(dir, name) })
    },
    remove: (id) => removeFile(dir, id + SUFFIX),
  }

  async function readAll(read: typeof readOne): Promise<readonly ReferencedKey[]> {
    const keys = await Promise.all((await names()).map((name) => read(name)))
    return keys.filter((key) => key !== undefined)
  }

  async function names(): Promise<readonly string[]> {
    await usePrivateFolder(dir)
    return (await namesIn(dir)).filter((name) => FILE_NAME.test(name))
  }

  async function readOne(name: string): Promise<ReferencedKey | undefined> {
    const path = join(dir, name)
    const bytes = await readPrivateFile(path)
    if (bytes === undefined) return undefined
    const key = readReference(Buffer.from(bytes).toString('utf8'), path)
    if (key.id + SUFFIX === name) return key
    throw malformed(path, `it holds the key ${key.id}`)
  }
}

export function writeReference(key: ReferencedKey): string {
  const { id, algorithm, createdAt, name, public: material, signer, encrypted } = key
  const lines = [
    FIRST_LINE,
    `id: ${id}`,
    `algorithm: ${algorithm}`,
    `created: ${new Date(createdAt).toISOString()}`,
    ...(name === undefined ? [] : [`name: ${name}`]),
    `asks: ${encrypted ? 'yes' : 'no'}`,
    `public: ${toBase64(material.spki)}`,
    `signer: ${signer}`,
  ]
  return `${lines.join('\n')}\n`
}

/** Accepts what `writeReference` writes, byte for byte, and nothing else. `path` is for errors. */
export function readReference(text: string, path: string): ReferencedKey {
  const [field, name] = [(of: string) => lineOf(text, of) ?? '', lineOf(text, 'name')]
  const spki = fromBase64(field('public'))
  if (!text.startsWith(FIRST_LINE) || spki === undefined) throw malformed(path, 'it is no key reference of tagseal')
  const now = Date.parse(field('created'))
  if (Number.isNaN(now)) throw malformed(path, 'it does not say when it was made')
  const facts = { encrypted: field('asks') === 'yes', now, ...(name !== undefined && { name }) }
  const key = referencedKey(keyInfo(publicMaterial(spki), facts), field('signer'))
  if (writeReference(key) !== text) throw malformed(path, 'it was changed since it was written')
  return key
}

/** Throws SIGNER_MALFORMED for what is no reference or does not fit into a line. */
export function referencedKey(info: KeyInfo, signer: string): ReferencedKey {
  kindOf(signer)
  return { ...info, signer }
}

function nothingIfDamaged(error: unknown): undefined {
  if (isKeyError(error) && DAMAGED.has(error.code)) return undefined
  throw error
}

function lineOf(text: string, field: string): string | undefined {
  return new RegExp(`^${field}: (.*)$`, 'm').exec(text)?.[1]
}

function malformed(what: string, why: string): KeyError {
  return new KeyError('KEY_MALFORMED', { what, why })
}
