/** The podman that `npm run debian` unpacks has mounts and processes of its own, which must not outlive it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { UNPACKED } from '../support/own-check.ts'
import { runProgram } from '../support/program.ts'

const podman = join(UNPACKED, 'podman')
const { code } = await runProgram(podman, ['--version'])
const skip = code !== 0 && 'SKIPPED: the podman of Debian 13 does not run here (npm run debian unpacks it; as root)'
const SECONDS = 10

await t.test('nothing of it is running or mounted after it was killed', { skip }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-podman-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const before = await mountedHere()
  const child = spawn(podman, serviceIn(folder), { stdio: 'ignore' })
  const ended = once(child, 'exit')
  t.ok(await becomes(() => isThere(join(folder, 'sock'))), 'it answers')
  t.not((await processesOf(folder)).length, 0)
  t.equal(await mountedHere(), before, 'what it mounts is not seen by others')
  child.kill('SIGKILL')
  await ended
  t.ok(await becomes(async () => (await processesOf(folder)).length === 0), 'whatever it had started has ended')
  t.equal(await mountedHere(), before)
})

/** It serves until it is ended. */
function serviceIn(folder: string): readonly string[] {
  const places = ['root', 'runroot', 'tmpdir'].flatMap((name) => [`--${name}`, join(folder, name)])
  return ['--storage-driver', 'vfs', ...places, 'system', 'service', '--time', '0', `unix://${join(folder, 'sock')}`]
}

/** What is mounted where it mounts something; others may mount elsewhere meanwhile. */
async function mountedHere(): Promise<string> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')
  const places = new Set(['/usr', '/run', '/run/usr', '/var/lib', '/dev/shm', '/sys/fs/cgroup', '/proc'])
  return lines.filter((line) => places.has(line.split(' ')[4] ?? '')).join('\n')
}

async function processesOf(folder: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const commands = ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => ''))
  return (await Promise.all(commands)).filter((command) => command.includes(folder))
}

async function becomes(test: () => Promise<boolean>): Promise<boolean> {
  for (let tries = 0; tries < SECONDS * 10; tries++) {
    if (await test()) return true
    await pause(100)
  }
  return false
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
