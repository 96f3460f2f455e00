/** Packages of another Debian than the machine's, fetched and checked by apt, and nothing of the machine is changed. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

/** Unpacks packages of a suite into `root` below a folder. Throws where they cannot be had. */
export function unpackInto(work, suite, packages) {
  for (const name of ['lists/partial', 'archives/partial', 'debs', 'root'])
    mkdirSync(join(work, name), { recursive: true })
  writeFileSync(join(work, 'sources.list'), `deb [signed-by=${KEYRING}] ${mirror()} ${suite} main\n`)
  writeFileSync(join(work, 'status'), '')
  const debs = join(work, 'debs')
  run('apt-get', [...optionsFor(work), 'update'], debs)
  run('apt-get', [...optionsFor(work), 'download', ...packages], debs)
  for (const name of readdirSync(debs)) run('dpkg-deb', ['--extract', name, join(work, 'root')], debs)
}

/** Where this machine has Debian 12 from. */
function mirror() {
  const out = run('apt-get', ['indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Identifier: Packages'])
  const [, uri] = /^bookworm (\S+)$/m.exec(out) ?? []
  if (uri === undefined) throw new Error('this machine has no packages of Debian 12')
  return uri
}

/** Lists, archives and state of its own: the machine keeps getting its packages from where it did. */
function optionsFor(work) {
  const settings = {
    'Dir::State': work,
    'Dir::State::status': join(work, 'status'),
    'Dir::State::lists': join(work, 'lists'),
    'Dir::Cache': work,
    'Dir::Etc::sourcelist': join(work, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'APT::Sandbox::User': 'root',
  }
  return ['-qq', ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])]
}

function run(program, args, cwd) {
  const ran = spawnSync(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
  if (ran.status === 0) return ran.stdout
  throw new Error(`${program} failed: ${ran.error?.message ?? ran.stderr.trim().split('\n').at(-1)}`)
}
