/** The files of a machine, or of an image of one below a folder; an absolute link in such an image leads out of it. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { reasonOf } from '../files.ts'
import { errnoOf } from '../trust/atomic.ts'
import { Broken } from './spot.ts'

export type Machine = {
  readonly root: string
  /** Where a path of the machine is. */
  readonly place: (path: string) => string
  /** undefined where there is no such file. Throws Broken where it cannot be read. */
  readonly text: (path: string) => string | undefined
  /** The names in a folder, in order; none where it is not there. */
  readonly list: (path: string) => readonly string[]
  readonly has: (path: string) => boolean
  readonly isExecutable: (path: string) => boolean
}

const LARGEST = 4 * 1024 * 1024
const MOST_NAMES = 10_000

export function openMachine(root: string): Machine {
  const place = (path: string) => join(root, path)
  return {
    root,
    place,
    text(path) {
      try {
        if (statSync(place(path)).size > LARGEST) throw new Broken(path, 1, `it is larger than ${LARGEST} bytes`)
        return readFileSync(place(path), 'utf8')
      } catch (error) {
        if (error instanceof Broken) throw error
        if (isAbsent(error)) return undefined
        throw new Broken(path, 1, reasonOf(error))
      }
    },
    list(path) {
      try {
        return readdirSync(place(path)).toSorted().slice(0, MOST_NAMES)
      } catch (error) {
        if (isAbsent(error)) return []
        throw new Broken(path, 1, reasonOf(error))
      }
    },
    has: (path) => existsSync(place(path)),
    isExecutable(path) {
      try {
        accessSync(place(path), constants.X_OK)
        return true
      } catch {
        return false // whatever the reason, containerd could not run it either
      }
    },
  }
}

function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')
}
