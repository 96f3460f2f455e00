import { mkdir, readdir, readFile, readlink, rename, rm, rmdir, stat, unlink, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { randomName } from '../../keys/random.ts'
import { errnoOf } from './atomic.ts'
import { ClientError } from './errors.ts'

/**
 * A lock between processes, for sections of milliseconds: no network inside.
 *
 * The lock is a folder that holds one file named after its owner. To take it, a prepared folder is renamed over it,
 * which succeeds only while it is absent or empty; to give it back, or to take it from a dead owner, that one file is
 * removed by its name. Whatever two processes do at once, neither can remove the other's: names are never reused.
 */
export async function withLock<T>(folder: string, work: () => Promise<T>, patience = PATIENCE_MS): Promise<T> {
  const here = await findPlace()
  const owner = `${process.pid}-${(await startOf(process.pid)) ?? 0}-${here}-${randomName()}`
  const file = join(folder, owner)
  await acquire({ folder, owner, here, patience })
  try {
    return await work()
  } finally {
    await forget(file)
    await removeIfEmpty(folder)
  }
}

/** What POSIX lets a system say of a folder that is not empty. */
const TAKEN: ReadonlySet<string> = new Set(['ENOTEMPTY', 'EEXIST'])
const PATIENCE_MS = 15_000
/** An owner whose life cannot be asked after (another container, another boot) is taken for dead after this. */
const UNKNOWN_OWNER_MS = 30_000
const LONGEST_PAUSE_MS = 20

/** `owner` is `pid-start-place-random`: it tells a live owner from a dead one whose process number was given again. */
type Claim = { readonly folder: string; readonly owner: string; readonly here: string; readonly patience: number }

async function acquire(claim: Claim): Promise<void> {
  const { folder, owner } = claim
  const prepared = `${folder}.${randomName()}`
  await mkdir(prepared, { mode: 0o700 })
  try {
    await writeFile(join(prepared, owner), '', { flag: 'wx', mode: 0o600 })
    await renameWhenFree(prepared, claim)
  } catch (error) {
    await rm(prepared, { recursive: true, force: true })
    throw error
  }
}

async function renameWhenFree(prepared: string, { folder, here, patience }: Claim): Promise<void> {
  const start = performance.now()
  for (let pause = 1; !(await renamed(prepared, folder)); pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const holder = await removeDeadOwner(folder, here)
    const waited = performance.now() - start
    if (waited > patience) throw new ClientError('CACHE_LOCKED', { path: folder, milliseconds: waited, holder })
    // Two that wait must not wake in step for ever.
    await delay(pause * (0.5 + Math.random()))
  }
}

/** Renaming a folder over another works only where that one is empty (POSIX rename). */
async function renamed(prepared: string, folder: string): Promise<boolean> {
  try {
    await rename(prepared, folder)
    return true
  } catch (error) {
    if (TAKEN.has(errnoOf(error) ?? '')) return false
    throw error
  }
}

/** Gives back the owner's name, for the message; the lock is free at once if that owner lives no more. */
async function removeDeadOwner(folder: string, here: string): Promise<string> {
  const [owner] = await listIfThere(folder)
  if (owner === undefined) return 'nobody'
  const file = join(folder, owner)
  if (!(await livesOn(owner, file, here))) await forget(file)
  return `process ${owner.split('-', 1).join('')}`
}

async function livesOn(owner: string, file: string, here: string): Promise<boolean> {
  const [pid, start, where] = owner.split('-')
  if (where !== here) return await isYoung(file)
  if (!isRunning(Number(pid))) return false
  const started = await startOf(Number(pid))
  return started === undefined || String(started) === start
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) === 'EPERM' // somebody else's process, but a process
  }
}

async function isYoung(file: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(file)).mtimeMs < UNKNOWN_OWNER_MS
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

/** When a process began, in ticks since boot; undefined where the system has no /proc. */
async function startOf(pid: number): Promise<number | undefined> {
  const text = await readOptional(`/proc/${pid}/stat`)
  // The second field is the program's name in parentheses and may hold anything; the start is the 20th after it.
  return text === undefined ? undefined : Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[19])
}

/** Where a process number means something: this machine since this boot, and this namespace of process numbers. */
async function findPlace(): Promise<string> {
  const [boot, namespace] = await Promise.all([readOptional('/proc/sys/kernel/random/boot_id'), readNamespace()])
  return `${hostname()}.${boot ?? ''}.${namespace}`.replace(/[^A-Za-z0-9.]/g, '').slice(0, 120)
}

async function readNamespace(): Promise<string> {
  try {
    return await readlink('/proc/self/ns/pid')
  } catch {
    return '' // no /proc: one namespace is all there is
  }
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1')
  } catch {
    return undefined // not there, or not for us: either way nothing is known
  }
}

async function forget(file: string): Promise<void> {
  try {
    await unlink(file)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

async function listIfThere(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Tidiness only: the next owner's folder takes an empty one's place, or is already there. */
async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder)
  } catch (error) {
    if (!TAKEN.has(errnoOf(error) ?? '') && errnoOf(error) !== 'ENOENT') throw error
  }
}
