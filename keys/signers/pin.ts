import { KeyError } from '../errors.ts'
import { readGivenFile } from '../keystore/disk.ts'
import { openTerminal } from '../keystore/terminal.ts'
import type { Surroundings } from './custodian.ts'

const MAX_PIN = 256
const NEWLINES = [0x0a, 0x0d]

/**
 * The PIN of a token, from a file or from a person, asked once: tokens count wrong ones and lock themselves, so nothing
 * that failed is tried again, and a passphrase is never taken for a PIN. Whoever gets it wipes it.
 */
export async function askPin(
  token: string,
  file: string | undefined,
  { warn, terminal = openTerminal }: Surroundings,
): Promise<Uint8Array> {
  if (file !== undefined) return await readPin(file, warn)
  const opened = terminal()
  if (opened === undefined) throw new KeyError('PIN_MISSING', { token })
  try {
    return await opened.ask(`PIN of ${token}: `)
  } finally {
    opened.close()
  }
}

async function readPin(path: string, warn: Surroundings['warn']): Promise<Uint8Array> {
  const unusable = (why: string, options?: ErrorOptions) => new KeyError('PIN_UNUSABLE', { source: path, why }, options)
  const found = await readGivenFile(path, MAX_PIN, unusable)
  if (found === undefined) throw unusable('there is no such file')
  if (found.mode & 0o007) warn(`${path} holds a PIN and everybody may read it: chmod 400 ${path}`)
  const end = found.bytes.findLastIndex((byte) => !NEWLINES.includes(byte)) + 1
  if (end === 0) throw unusable('it is empty')
  return found.bytes.subarray(0, end)
}
