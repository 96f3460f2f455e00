import { basename, dirname, join } from 'node:path'
import { fromBase64, fromHex } from '../bytes.ts'
import { KeyError } from '../errors.ts'
import { KEK_LENGTH, Kek } from '../kek.ts'
import { randomBytes } from '../random.ts'
import { makeFolder, readNamedSecret, readPrivateFile, readSmallFile, writeNewFile } from './disk.ts'

export type KekOptions = {
  /** A file named by its owner. */
  readonly file?: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where it is looked for last, and where `makeKekFile` puts a new one. */
  readonly fallback?: string
}

const MAX_KEK = 256

/**
 * The server's key-encryption key, from the first of these that is there: the file named, the systemd credential
 * `tagseal-kek`, `TAGSEAL_SERVER_KEK`, the fallback file. Hex or base64, or in a file the 32 bytes themselves.
 * undefined where there is none at all: whether a new one may be made is the caller's to know.
 */
export async function loadKek({ file, env, fallback }: KekOptions): Promise<Kek | undefined> {
  if (file !== undefined) return fromNamedFile(file)
  const credentials = env['CREDENTIALS_DIRECTORY']
  const credential = credentials && (await fromCredential(join(credentials, 'tagseal-kek')))
  if (credential) return credential
  const text = env['TAGSEAL_SERVER_KEK']
  if (text) return decodeText(text, 'TAGSEAL_SERVER_KEK')
  const own = fallback === undefined ? undefined : await readPrivateFile(fallback)
  return own && decode(own, fallback ?? '')
}

/** Makes a new key-encryption key in a file of mode 0400 that must not be there yet. */
export async function makeKekFile(path: string): Promise<Kek> {
  const bytes = randomBytes(KEK_LENGTH)
  const [dir, name] = [dirname(path), basename(path)]
  await makeFolder(dir)
  const stored = await writeNewFile(dir, name, Buffer.from(`${Buffer.from(bytes).toString('base64')}\n`))
  if (!stored) throw new KeyError('KEY_EXISTS', { id: 'key-encryption key', path })
  return new Kek(bytes, path)
}

async function fromNamedFile(path: string): Promise<Kek> {
  const bytes = await readNamedSecret(path, MAX_KEK)
  if (bytes === undefined) throw new KeyError('KEK_MISSING', { looked: path })
  return decode(bytes, path)
}

/** systemd sets the modes of its credentials, which are 0400 or 0440 and on a file system of their own. */
async function fromCredential(path: string): Promise<Kek | undefined> {
  const found = await readSmallFile(path, MAX_KEK)
  return found && decode(found.bytes, path)
}

/** 32 bytes are the key itself; anything longer is text. */
function decode(bytes: Uint8Array, source: string): Kek {
  if (bytes.length === KEK_LENGTH) return new Kek(bytes, source)
  const text = Buffer.from(bytes).toString('latin1').trim()
  bytes.fill(0)
  return decodeText(text, source)
}

function decodeText(text: string, source: string): Kek {
  const key = fromHex(text) ?? fromBase64(text)
  if (key === undefined)
    throw new KeyError('KEK_MALFORMED', { source, why: 'it is not 32 bytes, their hex or their base64' })
  return new Kek(key, source)
}
