import { lstat, open } from 'node:fs/promises'
import { whyUnwritten } from '../files.ts'
import { CommandError } from './errors.ts'

/** Files that a command makes for people to take away: durable, for their owner alone, and never over another file. */
export async function writeNew(path: string, text: string, mode = 0o600): Promise<void> {
  await inFile(path, async () => {
    const file = await open(path, 'wx', mode)
    try {
      await file.writeFile(text, 'latin1')
      await file.sync()
    } finally {
      await file.close()
    }
  })
}

/** Before the first of several is written. */
export async function refuseExisting(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found !== undefined) throw new CommandError('FILE_EXISTS', { path })
}

export async function inFile<T>(path: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') {
      throw new CommandError('FILE_EXISTS', { path }, { cause })
    }
    throw new CommandError('IO', { what: path, why: whyUnwritten(cause) }, { cause })
  }
}
