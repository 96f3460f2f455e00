/**
 * Debian 12 and 13 have containerd 1, which asks no verifier. The containerd 2 of the next Debian needs nothing that they
 * lack, and is unpacked beside this project.
 *
 * `node scripts/debian-next.mjs` leaves `.cache/debian-next/root/usr/bin/containerd`, where it can be had.
 */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unpackInto } from './apt-beside.mjs'

const FOLDER = fileURLToPath(new URL('../.cache/debian-next', import.meta.url))
const PROGRAM = 'root/usr/bin/containerd'

if (!existsSync(join(FOLDER, PROGRAM))) unpack()

function unpack() {
  const work = `${FOLDER}.${process.pid}`
  try {
    unpackInto(work, 'testing', ['containerd'])
    for (const name of ['lists', 'archives', 'debs', 'root/usr/share', 'root/etc'])
      rmSync(join(work, name), { recursive: true, force: true })
    rmSync(FOLDER, { recursive: true, force: true })
    renameSync(work, FOLDER)
  } catch (error) {
    process.stderr.write(`tagseal: containerd 2 is not here: ${error.message}\n`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
