/**
 * Installs the Debian packages that tests, demo and benchmark hold us against: a real registry, real pullers, the
 * programs we replace. Only what is missing, only as root; elsewhere it says what is missing and goes on, because the
 * tests that need it skip themselves in so many words.
 *
 * `node scripts/debian.mjs [PACKAGE]...`
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Package name and the program it brings. */
const PROGRAMS = {
  'docker-registry': 'docker-registry',
  skopeo: 'skopeo',
  notary: 'notary-server',
  faketime: 'faketime',
  age: 'age',
  wrk: 'wrk',
  openssl: 'openssl',
  softhsm2: 'softhsm2-util',
  'openssh-client': 'ssh-agent',
  'g++': 'c++',
  'docker.io': 'dockerd',
  podman: 'podman',
  buildah: 'buildah',
  'busybox-static': 'busybox',
}

const asked = process.argv.slice(2)
const missing = (asked.length > 0 ? asked : Object.keys(PROGRAMS)).filter((name) => !onPath(PROGRAMS[name] ?? name))
if (missing.length > 0) install(missing)
if (asked.length === 0) {
  await import('./debian-13.mjs')
  await import('./debian-next.mjs')
}

function install(packages) {
  const list = packages.join(' ')
  if (process.getuid?.() !== 0 || !onPath('apt-get')) {
    say(`not installed, and not installable from here: ${list} (as root on Debian: apt-get install ${list})`)
    return
  }
  say(`installing ${list} with apt-get`)
  aptGet('update')
  if (!aptGet('install', '--yes', '--no-install-recommends', ...packages)) {
    for (const name of packages) aptGet('install', '--yes', '--no-install-recommends', name)
  }
  const still = packages.filter((name) => !onPath(PROGRAMS[name] ?? name))
  if (still.length > 0) say(`apt-get could not bring ${still.join(' ')}`)
}

/** Debian starts what it installs; a policy that refuses keeps the machine as it was. */
function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const { status, stderr } = spawnSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  if (status !== 0) say(`apt-get ${args[0]} failed: ${String(stderr).trim().split('\n').at(-1)}`)
  return status === 0
}

function onPath(program) {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'].some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function say(text) {
  process.stderr.write(`tagseal: ${text}\n`)
}
