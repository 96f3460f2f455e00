/**
 * What tests of our own programs write to the folder of temporary files stays in memory, where the machine has a folder
 * of that kind that has room in it and lets programs be started from it.
 *
 * Our server waits for the disk at every publish, and so did most tests for most of their time. A test can kill a
 * process, which leaves the same behind in memory as on a disk; it cannot cut the power.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const MEMORY = '/dev/shm'
const ENOUGH = 4 * 1024 ** 3
const OURS = /^tagseal-tests-(\d+)$/
/** Engines of others keep their images on the disk, and some of them have a `/dev/shm` of their own. */
const ABOUT_OURS = /(?:^|\/)test\/(?:attacks|client|journeys|keys|server|tuf)\//

/**
 * What is to be in the environment of the test file among these arguments. Whoever sets TMPDIR has their own way.
 *
 * @type {(args: readonly string[]) => { readonly TMPDIR?: string }}
 */
export function temporaryFolderOf(args) {
  if (process.env.TMPDIR !== undefined || !args.some((arg) => ABOUT_OURS.test(arg))) return {}
  folder ??= hasRoom() ? made(join(MEMORY, `tagseal-tests-${process.pid}`)) : ''
  return folder === '' ? {} : { TMPDIR: folder }
}

/** @type {string | undefined} */
let folder

function hasRoom() {
  try {
    const { bavail, bsize } = statfsSync(MEMORY)
    return bavail * bsize >= ENOUGH
  } catch {
    return false // not every system has one
  }
}

/** @type {(path: string) => string} */
function made(path) {
  removeLeftBehind()
  mkdirSync(path)
  process.on('exit', () => remove(path))
  chmodSync(path, 0o1777) // as /tmp is: some tests are somebody else for a while
  return startsPrograms(path) ? path : ''
}

/** By runs that were killed: nothing else gives that memory back. */
function removeLeftBehind() {
  for (const name of readdirSync(MEMORY)) {
    const pid = OURS.exec(name)?.[1]
    if (pid !== undefined && !isRunning(Number(pid))) remove(join(MEMORY, name))
  }
}

/** @type {(pid: number) => boolean} */
function isRunning(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' // somebody else's process, but a process
  }
}

/** @type {(path: string) => void} */
function remove(path) {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch {
    // Still in use, or somebody else's: the next run tries again.
  }
}

/** Many systems forbid it there. @type {(path: string) => boolean} */
function startsPrograms(path) {
  const program = join(path, 'program')
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 })
  return spawnSync(program).status === 0
}
