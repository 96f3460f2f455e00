import { join } from 'node:path'
import { isKeyError, KeyError } from '../errors.ts'
import { generateKey } from '../native/generate.ts'
import { Secret } from '../native/secret.ts'
import { writePem } from '../pem.ts'
import { namesIn, readPrivateFile, removeFile, replaceFile, usePrivateFolder, writeNewFile } from './disk.ts'
import { notaryKeyId } from '../notary/key-id.ts'
import { notaryFile } from '../notary/key-file.ts'
import { readForeignKey } from './foreign.ts'
import { type KeyFacts, type KeyFile, keyInfo, readEntry, readKeyFile, sameKey, writeKeyFile } from './key-file.ts'
import type { ImportedKey, KeyInfo, Keystore } from './keystore.ts'
import type { Passphrase, PassphraseSource } from './passphrase.ts'
import { encryptPkcs8 } from './pbes2.ts'
import { unlock } from './unlock.ts'

export type FileKeystoreOptions = {
  readonly dir: string
  /** Whoever made it closes it. */
  readonly passphrase: PassphraseSource
  /** Milliseconds since 1970; dates new keys. */
  readonly clock?: () => number
}

/** What a key comes with that was kept elsewhere. */
type Coming = { readonly before?: Passphrase | undefined; readonly stays?: ImportedKey['stays'] }

const SUFFIX = '.pem'
const FILE_NAME = /^[0-9a-f]{64}\.pem$/
/** Shorter beginnings of a key id would one day fit two keys. */
const MIN_PREFIX = 4

/** A folder of key files, one per key, named by key id (ADR 0007). The folder is made when it is first used. */
export function openKeystore({ dir, passphrase, clock = Date.now }: FileKeystoreOptions): Keystore {
  return {
    async generate({ algorithm, name, encrypted }) {
      return closing(await generateKey(algorithm), (secret) =>
        store(secret, { ...(name !== undefined && { name }), encrypted }),
      )
    },
    async list() {
      const files = await readAll()
      return oldestFirst(files.map((file) => file.info))
    },
    async survey() {
      const { good, bad } = await sortedOut(await fileNames(), readOne)
      return { keys: oldestFirst(good.map((file) => file.info)), bad }
    },
    async index() {
      const files = await Promise.all((await fileNames()).map(async (name) => ({ name, text: await readText(name) })))
      return files.flatMap(({ name, text }) => (text === undefined ? [] : [readEntry(idOf(name), text)]))
    },
    find: async (wanted) => (await findFile(wanted)).info,
    open: async (wanted) => openFile(await findFile(wanted)),
    async import({ pem, name, encrypted, passphrase: theirs, stays }) {
      const foreign = typeof pem === 'string' ? readForeignKey(pem) : pem
      const { role, gun } = foreign
      const note = role === undefined ? {} : { notary: { role, ...(gun !== undefined && { gun }) } }
      const opener = noting(theirs ?? passphrase)
      return closing(await foreign.open(opener.source), (secret) =>
        store(secret, { ...(name !== undefined && { name }), encrypted, ...note }, { before: opener.last(), stays }),
      )
    },
    exportPublic: async (wanted) => writePem('PUBLIC KEY', (await findFile(wanted)).info.public.spki),
    async exportPrivate(wanted, next) {
      const der = await closing(await openFile(await findFile(wanted)), (secret) =>
        protect(secret, next, 'the exported key'),
      )
      return writePem(next === 'none' ? 'PRIVATE KEY' : 'ENCRYPTED PRIVATE KEY', der)
    },
    async exportNotary(wanted, next) {
      const file = await findFile(wanted)
      const opener = noting(passphrase)
      return closing(await openFile(file, opener.source), async (secret) =>
        notaryFile(secret, file.info, await next.choose('the exported key', opener.last())),
      )
    },
    async exportShares(wanted, splitting) {
      const file = await findFile(wanted)
      // Loaded when a key is split: whoever signs pays nothing for it.
      const { splitKey } = await import('../escrow/split.ts')
      return closing(await openFile(file), (secret) => splitKey(secret, file.info, splitting))
    },
    async passwd(wanted, next) {
      const file = await findFile(wanted)
      const info = { ...file.info, encrypted: next !== 'none' }
      const der = await closing(await openFile(file), (secret) => protect(secret, next, labelOf(info)))
      await replaceFile(dir, info.id + SUFFIX, encoded({ info, der }))
      return info
    },
    async remove(wanted) {
      const { info } = await findFile(wanted)
      await removeFile(dir, info.id + SUFFIX)
      return info
    },
  }

  async function store(secret: Secret, facts: Omit<KeyFacts, 'now'>, { before, stays }: Coming = {}): Promise<KeyInfo> {
    const info = keyInfo(secret.public, { ...facts, now: clock() })
    await usePrivateFolder(dir)
    const name = info.id + SUFFIX
    // Before anybody is asked for a passphrase; whether it is still so, the writing itself sees.
    if ((await readText(name)) !== undefined) throw new KeyError('KEY_EXISTS', { id: info.id, path: join(dir, name) })
    const own = noting(passphrase)
    const der = await protect(secret, facts.encrypted ? own.source : 'none', labelOf(info), before)
    const stored = await writeNewFile(dir, name, encoded({ info, der }))
    if (!stored) throw new KeyError('KEY_EXISTS', { id: info.id, path: join(dir, name) })
    if (before !== undefined && own.last() === before) stays?.(info)
    return info
  }

  async function findFile(wanted: string): Promise<KeyFile> {
    await usePrivateFolder(dir)
    const exact = FILE_NAME.test(wanted + SUFFIX) ? await readOne(wanted + SUFFIX) : undefined
    if (exact !== undefined) return exact
    const names = await fileNames()
    const { good, bad } = await sortedOut(names, readOne)
    const fits = good.filter(({ info }) => isMeant(wanted, info))
    const [found] = fits
    if (found === undefined) throw bad[0] ?? new KeyError('KEY_NOT_FOUND', { wanted, where: dir })
    // Of a damaged file the id is known all the same.
    const begun = wanted.length < MIN_PREFIX ? [] : names.filter((name) => name.startsWith(wanted)).map(idOf)
    const ids = [...new Set([...fits.map(({ info }) => info.id), ...begun])]
    if (ids.length > 1) throw new KeyError('KEY_AMBIGUOUS', { wanted, ids })
    return found
  }

  async function fileNames(): Promise<string[]> {
    await usePrivateFolder(dir)
    return (await namesIn(dir)).filter((name) => FILE_NAME.test(name)).toSorted()
  }

  async function readAll(): Promise<KeyFile[]> {
    const files = await Promise.all((await fileNames()).map(readOne))
    return files.filter((file) => file !== undefined)
  }

  async function readText(name: string): Promise<string | undefined> {
    const bytes = await readPrivateFile(join(dir, name))
    return bytes && Buffer.from(bytes).toString('latin1')
  }

  async function readOne(name: string): Promise<KeyFile | undefined> {
    const path = join(dir, name)
    const text = await readText(name)
    if (text === undefined) return undefined
    const file = readKeyFile(text, path)
    if (file.info.id + SUFFIX !== name) {
      throw new KeyError('KEY_MALFORMED', { what: path, why: `it holds the key ${file.info.id}` })
    }
    return file
  }

  /** The private half must belong to the public one beside it, which is all that others were shown. */
  async function openFile({ info, der }: KeyFile, source = passphrase): Promise<Secret> {
    const secret = info.encrypted ? await unlock(der, source, labelOf(info)) : new Secret(der)
    if (sameKey(secret.public, info.public)) return secret
    secret.close()
    throw new KeyError('KEY_MALFORMED', { what: `key ${info.id}`, why: 'its private half belongs to another key' })
  }
}

function idOf(name: string): string {
  return name.slice(0, -SUFFIX.length)
}

async function closing<T>(secret: Secret, use: (secret: Secret) => Promise<T>): Promise<T> {
  try {
    return await use(secret)
  } finally {
    secret.close()
  }
}

async function protect(
  secret: Secret,
  passphrase: PassphraseSource | 'none',
  label: string,
  before?: Passphrase,
): Promise<Uint8Array> {
  if (passphrase === 'none') return secret.lend((pkcs8) => pkcs8.slice())
  const chosen = await passphrase.choose(label, before)
  return secret.lend((pkcs8) => encryptPkcs8(pkcs8, chosen))
}

export function oldestFirst(keys: readonly KeyInfo[]): KeyInfo[] {
  return keys.toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
}

/** Each file by itself, so that one that cannot be used hides no other. */
export async function sortedOut<T>(
  names: readonly string[],
  read: (name: string) => Promise<T | undefined>,
): Promise<{ readonly good: readonly T[]; readonly bad: readonly KeyError[] }> {
  const good: T[] = []
  const bad: KeyError[] = []
  for (const name of names) {
    try {
      const found = await read(name)
      if (found !== undefined) good.push(found)
    } catch (error) {
      if (!isKeyError(error)) throw error
      bad.push(error)
    }
  }
  return { good, bad }
}

/** Whether somebody who says `wanted` may mean this key. */
export function isMeant(wanted: string, { id, name, public: material }: KeyInfo): boolean {
  if (wanted === name) return true
  return wanted.length >= MIN_PREFIX && (id.startsWith(wanted) || notaryKeyId(material).startsWith(wanted))
}

/** The same source, and which passphrase it gave last: the one that opened what asked for it, or that it chose. */
function noting(source: PassphraseSource): {
  readonly source: PassphraseSource
  readonly last: () => Passphrase | undefined
} {
  let last: Passphrase | undefined
  const unlock: PassphraseSource['unlock'] = async (key, tried) => (last = await source.unlock(key, tried))
  const choose: PassphraseSource['choose'] = async (key, before) => (last = await source.choose(key, before))
  return { source: { ...source, unlock, choose }, last: () => last }
}

function labelOf({ id, name, algorithm }: KeyInfo): string {
  const short = `${algorithm} key ${id.slice(0, 12)}`
  return name === undefined ? short : `${short} (${name})`
}

function encoded(file: KeyFile): Uint8Array {
  return Buffer.from(writeKeyFile(file), 'latin1')
}
