/** A database as one file that can be kept elsewhere, and back. */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { randomName } from '../../keys/random.ts'
import { ConfigError } from '../config-error.ts'
import { inWords } from '../system-words.ts'
import { isStorageError } from './errors.ts'
import { MIGRATIONS } from './schema.ts'
import { copyDatabase, DATABASE, examineDatabase } from './sqlite.ts'

/** Also while a server runs. Whole and durable when it returns, under a name that nothing had before. */
export async function backUp(dir: string, file: string): Promise<void> {
  if (existsSync(file)) throw new ConfigError('BACKUP_EXISTS', { path: file })
  const temporary = join(dirname(file), `.${basename(file)}.${randomName()}`)
  try {
    closeSync(openSync(temporary, 'wx', 0o600)) // before SQLite makes it, readable to everybody
    await copyDatabase(dir, temporary)
    refuseDamaged(temporary, file)
    chmodSync(temporary, 0o400)
    sync(temporary)
    linkSync(temporary, file) // unlike a rename, it never replaces
  } catch (error) {
    throw isTaken(error) ? new ConfigError('BACKUP_EXISTS', { path: file }) : unusable(error, file)
  } finally {
    rmSync(temporary, { force: true })
  }
  sync(dirname(file))
}

/**
 * A copy of a backup in a folder of its own below the data folder, to be looked at before it takes the place of what is
 * there. Whoever gets it removes it, or puts it in place.
 */
export function copyOfBackup(file: string, dir: string): string {
  const folder = mkdtempSync(join(dir, '.restore-'))
  try {
    const copy = join(folder, DATABASE)
    copyFileSync(file, copy)
    chmodSync(copy, 0o600)
    refuseDamaged(copy, file)
    return folder
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw unusable(error, file)
  }
}

/** What was there before stays under another name, which is returned. The marks stay where they are. */
export function putInPlace(folder: string, dir: string, at: number): string | undefined {
  const old = join(dir, `${DATABASE}.replaced-${new Date(at).toISOString().replaceAll(/[-:]|\.\d+/g, '')}`)
  const hadOne = existsSync(join(dir, DATABASE))
  for (const suffix of ['-wal', '-shm', '']) {
    const path = join(dir, DATABASE + suffix)
    if (existsSync(path)) renameSync(path, old + suffix)
  }
  sync(join(folder, DATABASE))
  renameSync(join(folder, DATABASE), join(dir, DATABASE))
  sync(dir)
  rmSync(folder, { recursive: true, force: true })
  return hadOne ? old : undefined
}

/** Throws BACKUP_UNUSABLE; `name` is what its owner calls it. */
function refuseDamaged(path: string, name: string): void {
  const { whole, ours, schema } = examineDatabase(path)
  const why = !whole
    ? 'it is damaged'
    : !ours || schema < 1
      ? 'it is no database of tagseal-server'
      : schema > MIGRATIONS.length
        ? 'a newer program made it'
        : undefined
  if (why !== undefined) throw new ConfigError('BACKUP_UNUSABLE', { path: name, why })
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST'
}

function unusable(error: unknown, path: string): unknown {
  if (isStorageError(error) && error.code === 'STORAGE_UNAVAILABLE') {
    return new ConfigError('BACKUP_UNUSABLE', { path, why: error.detail.reason }, { cause: error })
  }
  if (isStorageError(error) && error.code === 'STORAGE_FULL')
    return new ConfigError('BACKUP_UNUSABLE', { path, why: 'the disk is full' }, { cause: error })
  if (error instanceof ConfigError || !(error instanceof Error) || !('code' in error)) return error
  return new ConfigError('BACKUP_UNUSABLE', { path, why: inWords(String(error.code)) }, { cause: error })
}
