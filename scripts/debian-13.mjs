/**
 * Debian 12 builds podman and skopeo without the check of sigstore's signatures. Those of Debian 13 have it, and are
 * unpacked beside this project with what they need: nothing of the machine is changed, and apt checks what it gets.
 *
 * `node scripts/debian-13.mjs` leaves `.cache/debian-13/skopeo` and `podman`, where they are needed and can be had.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unpackInto } from './apt-beside.mjs'

const FOLDER = fileURLToPath(new URL('../.cache/debian-13', import.meta.url))
/** Each program and what it needs besides. */
const NEEDS = {
  skopeo: ['libc6', 'libgpgme11t64', 'libassuan9', 'libgpg-error0', 'libsqlite3-0'],
  podman: ['libseccomp2', 'libsubid5'],
  libsubid5: ['libacl1', 'libattr1', 'libaudit1', 'libbsd0', 'libcrypt1', 'libpam0g', 'libselinux1', 'libsemanage2'],
  libsemanage2: ['libbz2-1.0', 'libcap-ng0', 'libmd0', 'libpcre2-8-0', 'libsepol2'],
  conmon: ['libatomic1', 'libglib2.0-0t64', 'libsystemd0'],
  crun: ['libcap2', 'libyajl2'],
  netavark: ['libgcc-s1'],
}
const PROGRAMS = ['skopeo', 'podman']
/**
 * podman starts itself again as `/proc/self/exe`, which would be the loader. As root it gets the `/usr` of Debian 13
 * instead, and folders of its own for what it would leave on the machine, the cgroups of containers among it. All of that
 * is in namespaces which end with it, also where it is killed.
 */
const PODMAN = `#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
exec unshare --mount --pid --fork --kill-child --mount-proc sh -ec '
mount -t tmpfs tmpfs /run
mkdir /run/usr
mount --bind "$0/root/usr" /run/usr
for folder in /var/lib /dev/shm /sys/fs/cgroup; do mount -t tmpfs tmpfs "$folder"; done
mount --bind /run/usr /usr
exec podman "$@"' "$here" "$@"
`

if (PROGRAMS.some(checksNothing) && !PROGRAMS.every((name) => existsSync(join(FOLDER, name)))) unpack()

function checksNothing(program) {
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find(existsSync)
  return path !== undefined && readFileSync(path).includes('Debian-local change: sigstore disabled')
}

function unpack() {
  const work = `${FOLDER}.${process.pid}`
  try {
    unpackInto(work, 'trixie', [...new Set(Object.entries(NEEDS).flat(2))])
    writeFileSync(join(work, 'skopeo'), skopeoOf(join(work, 'root')), { mode: 0o755 })
    writeFileSync(join(work, 'podman'), PODMAN, { mode: 0o755 })
    for (const name of ['lists', 'archives', 'debs', 'root/usr/share', 'root/usr/libexec'])
      rmSync(join(work, name), { recursive: true })
    rmSync(FOLDER, { recursive: true, force: true })
    renameSync(work, FOLDER)
  } catch (error) {
    process.stderr.write(`tagseal: podman and skopeo of Debian 13 are not here: ${error.message}\n`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** Its own loader and libraries, wherever the folder is by then. */
function skopeoOf(root) {
  const lib = join(root, 'usr/lib')
  const [libraries] = readdirSync(lib).filter((name) => name.endsWith('-linux-gnu'))
  const [loader] = readdirSync(join(lib, libraries)).filter((name) => /^ld-linux.*\.so\.\d$/.test(name))
  const place = `"$here/root/usr/lib/${libraries}`
  return `#!/bin/sh\nhere=$(dirname "$0")\nexec ${place}/${loader}" --library-path ${place}" "$here/root/usr/bin/skopeo" "$@"\n`
}
