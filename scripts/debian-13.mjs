/**
 * Debian 12 builds podman and skopeo without the check of sigstore's signatures. The skopeo of Debian 13 has it, and is
 * unpacked beside this project with the libraries it needs: nothing of the machine is changed, and apt checks what it gets.
 *
 * `node scripts/debian-13.mjs` leaves `.cache/debian-13/skopeo`, where that is needed and can be done.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('../.cache/debian-13', import.meta.url))
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const PACKAGES = ['skopeo', 'libc6', 'libgpgme11t64', 'libassuan9', 'libgpg-error0', 'libsqlite3-0']

if (isNeeded() && !existsSync(join(FOLDER, 'skopeo'))) unpack()

function isNeeded() {
  const skopeo = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'skopeo'))
    .find(existsSync)
  return skopeo !== undefined && readFileSync(skopeo).includes('Debian-local change: sigstore disabled')
}

function unpack() {
  const work = `${FOLDER}.${process.pid}`
  try {
    for (const name of ['lists/partial', 'archives/partial', 'debs', 'root'])
      mkdirSync(join(work, name), { recursive: true })
    writeFileSync(join(work, 'sources.list'), `deb [signed-by=${KEYRING}] ${mirror()} trixie main\n`)
    writeFileSync(join(work, 'status'), '')
    const debs = join(work, 'debs')
    run('apt-get', [...optionsFor(work), 'update'], debs)
    run('apt-get', [...optionsFor(work), 'download', ...PACKAGES], debs)
    for (const name of readdirSync(debs)) run('dpkg-deb', ['--extract', name, join(work, 'root')], debs)
    writeFileSync(join(work, 'skopeo'), scriptFor(join(work, 'root')), { mode: 0o755 })
    for (const name of ['lists', 'archives', 'debs', 'root/usr/share']) rmSync(join(work, name), { recursive: true })
    rmSync(FOLDER, { recursive: true, force: true })
    renameSync(work, FOLDER)
  } catch (error) {
    process.stderr.write(`tagseal: the skopeo of Debian 13 is not here: ${error.message}\n`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
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

/** Its own loader and libraries, wherever the folder is by then. */
function scriptFor(root) {
  const lib = join(root, 'usr/lib')
  const [libraries] = readdirSync(lib).filter((name) => name.endsWith('-linux-gnu'))
  const [loader] = readdirSync(join(lib, libraries)).filter((name) => /^ld-linux.*\.so\.\d$/.test(name))
  const place = `"$here/root/usr/lib/${libraries}`
  return `#!/bin/sh\nhere=$(dirname "$0")\nexec ${place}/${loader}" --library-path ${place}" "$here/root/usr/bin/skopeo" "$@"\n`
}

function run(program, args, cwd) {
  const ran = spawnSync(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
  if (ran.status === 0) return ran.stdout
  throw new Error(`${program} failed: ${ran.error?.message ?? ran.stderr.trim().split('\n').at(-1)}`)
}
