import {
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { randomName } from '../../keys/random.ts'
import { monotonicNow } from '../monotonic.ts'
import { processStart, readOptional } from '../process-age.ts'
import { errnoOf } from './atomic.ts'
import { ClientError } from './errors.ts'

/**
 * A lock between processes, for sections of milliseconds: no network inside.
 *
 * The lock is a folder that holds one file named after its owner. To take it, a prepared folder is renamed over it,
 * which succeeds only while it is absent or empty; to give it back, or to take it from a dead owner, that one file is
 * removed by its name. Whatever two processes do at once, neither can remove the other's: names are never reused.
 *
 * The steps are synchronous, for each is a microsecond in a kernel's table; only the wait for another owner is not.
 */
export async function withLock<T>(folder: string, work: () => Promise<T>, patience = PATIENCE_MS): Promise<T> {
  const here = findPlace()
  const owner = `${process.pid}-${processStart(process.pid) ?? 0}-${here}-${randomName()}`
  const file = join(folder, owner)
  await acquire({ folder, owner, here, patience })
  try {
    return await work()
  } finally {
    forget(file)
    removeIfEmpty(folder)
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
  mkdirSync(prepared, { mode: 0o700 })
  try {
    writeFileSync(join(prepared, owner), '', { flag: 'wx', mode: 0o600 })
    await renameWhenFree(prepared, claim)
  } catch (error) {
    rmSync(prepared, { recursive: true, force: true })
    throw error
  }
}

async function renameWhenFree(prepared: string, { folder, here, patience }: Claim): Promise<void> {
  const start = monotonicNow()
  for (let pause = 1; !renamed(prepared, folder); pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const holder = removeDeadOwner(folder, here)
    const waited = monotonicNow() - start
    if (waited > patience) throw new ClientError('CACHE_LOCKED', { path: folder, milliseconds: waited, holder })
    // Two that wait must not wake in step for ever.
    await delay(pause * (0.5 + Math.random()))
  }
}

/** Renaming a folder over another works only where that one is empty (POSIX rename). */
function renamed(prepared: string, folder: string): boolean {
  try {
    renameSync(prepared, folder)
    return true
  } catch (error) {
    if (TAKEN.has(errnoOf(error) ?? '')) return false
    throw error
  }
}

/** Gives back the owner's name, for the message; the lock is free at once if that owner lives no more. */
function removeDeadOwner(folder: string, here: string): string {
  const [owner] = listIfThere(folder)
  if (owner === undefined) return 'nobody'
  const file = join(folder, owner)
  if (!livesOn(owner, file, here)) forget(file)
  return `process ${owner.split('-', 1).join('')}`
}

function livesOn(owner: string, file: string, here: string): boolean {
  const [pid, start, where] = owner.split('-')
  if (where !== here) return isYoung(file)
  if (!isRunning(Number(pid))) return false
  const started = processStart(Number(pid))
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

function isYoung(file: string): boolean {
  try {
    // A date to come is no youth: a clock was put back since.
    return Math.abs(Date.now() - statSync(file).mtimeMs) < UNKNOWN_OWNER_MS
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

/** Where a process number means something: this machine since this boot, and this namespace of process numbers. */
function findPlace(): string {
  const [boot, namespace] = [readOptional('/proc/sys/kernel/random/boot_id'), readNamespace()]
  return `${hostname()}.${boot ?? ''}.${namespace}`.replace(/[^A-Za-z0-9.]/g, '').slice(0, 120)
}

function readNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return '' // no /proc: one namespace is all there is
  }
}

function forget(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

function listIfThere(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Tidiness only: the next owner's folder takes an empty one's place, or is already there. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if (!TAKEN.has(errnoOf(error) ?? '') && errnoOf(error) !== 'ENOENT') throw error
  }
}
